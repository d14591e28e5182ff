//! The text of a stack with holes in it, which the values of a goroutine's arguments fill.

use crate::dump::render::bytes::push_hex;
use crate::goroutines::model::{ArgumentsId, FrameArguments, HOLE};

/// What decides which frames have arguments: how they are printed, and how many values there are.
pub(super) type Shape = Option<(ArgumentsId, usize)>;

/// The text of all goroutines that stand there.
#[derive(Debug, Default)]
pub(super) struct Template {
    pub(super) shape: Shape,
    pub(super) text: Vec<u8>,
    holes: Vec<Hole>,
}

/// Where a value belongs.
#[derive(Clone, Copy, Debug)]
struct Hole {
    /// So many bytes of the text come before it.
    at: usize,
    /// Which of the values it is.
    value: usize,
}

impl Template {
    pub(super) fn of_shape(shape: Shape) -> Self {
        Self { shape, ..Self::default() }
    }

    /// Appends what is between the parentheses of a frame.
    pub(super) fn arguments(&mut self, arguments: Option<FrameArguments<'_>>) {
        let Some(FrameArguments { text, first }) = arguments else {
            return self.text.extend_from_slice(b"...");
        };
        for (index, part) in text.split(HOLE).enumerate() {
            if let Some(before) = index.checked_sub(1) {
                self.holes.push(Hole { at: self.text.len(), value: first + before });
            }
            self.text.extend_from_slice(part.as_bytes());
        }
    }

    /// Writes the text with the values of a goroutine.
    pub(super) fn write(&self, values: &[u64], out: &mut Vec<u8>) {
        let mut written = 0;
        for hole in &self.holes {
            out.extend_from_slice(&self.text[written..hole.at]);
            push_hex(values.get(hole.value).copied().unwrap_or_default(), out);
            written = hole.at;
        }
        out.extend_from_slice(&self.text[written..]);
    }

    /// How much room it takes, in bytes.
    pub(super) const fn size(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.holes.capacity() * size_of::<Hole>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_where_they_belong() {
        let mut template = Template { text: b"f(".to_vec(), ..Template::default() };
        template.arguments(Some(FrameArguments { text: "#, {#?, _}, ...", first: 1 }));
        template.text.extend_from_slice(b")\ng(");
        template.arguments(None);
        template.text.extend_from_slice(b")\n");
        let mut out = Vec::new();
        template.write(&[7, 0x1f, 0xc0_0001_2300], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "f(0x1f, {0xc000012300?, _}, ...)\ng(...)\n");
    }
}
