//! Lays text out as Go's `text/tabwriter` does with a cell padding of one and tabs of eight columns.

/// Pads the cells of `lines`, each of which is a list of cells; the last one of a line is not padded. All lines
/// form one block: a column ends where a line has no cell in it that is followed by another.
pub(super) fn align(lines: &[Vec<String>]) -> String {
    let mut widths = vec![Vec::new(); lines.len()];
    layout(lines, &mut widths, 0..lines.len(), 0);
    let mut out = String::new();
    for (cells, widths) in lines.iter().zip(&widths) {
        for (cell, width) in cells.iter().zip(widths) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n('\t', (width - columns(cell)).div_ceil(TAB)));
        }
        out.push_str(cells.last().map_or("", String::as_str));
        out.push('\n');
    }
    out
}

const TAB: usize = 8;

/// Finds the widths of `column` and those right of it within `rows`, whose columns to the left are laid out.
fn layout(lines: &[Vec<String>], widths: &mut [Vec<usize>], rows: std::ops::Range<usize>, column: usize) {
    let has_cell = |row: usize| column + 1 < lines[row].len();
    let mut row = rows.start;
    while row < rows.end {
        if !has_cell(row) {
            row += 1;
            continue;
        }
        let end = (row..rows.end).find(|&row| !has_cell(row)).unwrap_or(rows.end);
        let widest = lines[row..end].iter().map(|cells| columns(&cells[column])).max().unwrap_or(0);
        // A column of empty cells vanishes, except that here every cell is ended by a tab.
        let width = (widest + 1).next_multiple_of(TAB);
        widths[row..end].iter_mut().for_each(|widths| widths.push(width));
        layout(lines, widths, row..end, column + 1);
        row = end;
    }
}

fn columns(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(lines: &[&str]) -> String {
        let lines: Vec<Vec<String>> =
            lines.iter().map(|line| line.split('\t').map(String::from).collect()).collect();
        align(&lines)
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(
            aligned(&["#\t0x1\tmain.f+0x1\tf.go:1", "#\t0x12345678\tmain.longer+0x10\tf.go:2"]),
            "#\t0x1\t\tmain.f+0x1\t\tf.go:1\n#\t0x12345678\tmain.longer+0x10\tf.go:2\n"
        );
    }

    #[test]
    fn a_line_without_the_cell_ends_the_column() {
        assert_eq!(
            aligned(&["#\tlonger-than-eight\tb\tc", "#\t0x1", "#\ta\tb\tc"]),
            "#\tlonger-than-eight\tb\tc\n#\t0x1\n#\ta\tb\tc\n"
        );
    }
}
