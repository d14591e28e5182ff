//! The values of Go's constant expressions.

use anyhow::{Context as _, Result, bail};

use super::layout::Layouts;

/// How deep constants may refer to others.
const MAX_DEPTH: usize = 16;

/// Evaluates the expressions of one package.
#[derive(Clone, Copy)]
pub(super) struct Evaluator<'l> {
    layouts: &'l Layouts,
    iota: u64,
    depth: usize,
}

impl<'l> Evaluator<'l> {
    pub(super) const fn new(layouts: &'l Layouts) -> Self {
        Self { layouts, iota: 0, depth: 0 }
    }

    /// The value of the constant `name`.
    pub(super) fn constant(self, name: &str) -> Result<i128> {
        if self.depth > MAX_DEPTH {
            bail!("{name} refers to itself");
        }
        let (expression, iota) =
            self.layouts.package.constant(name).with_context(|| format!("no constant {name}"))?;
        Self { iota, depth: self.depth + 1, ..self }.value(expression)
    }

    /// The value of an expression.
    pub(super) fn value(self, expression: &str) -> Result<i128> {
        let mut parser = Parser { of: self, rest: expression.trim() };
        let value = parser.sum().with_context(|| format!("in {expression}"))?;
        if !parser.rest.is_empty() {
            bail!("{} is left of {expression}", parser.rest);
        }
        Ok(value)
    }
}

struct Parser<'e, 'l> {
    of: Evaluator<'l>,
    rest: &'e str,
}

impl<'e> Parser<'e, '_> {
    /// `a + b`, and what binds as loosely in Go.
    fn sum(&mut self) -> Result<i128> {
        let mut value = self.product()?;
        loop {
            value = match self.operator(&["+", "-", "|"]) {
                Some("+") => value + self.product()?,
                Some("-") => value - self.product()?,
                Some(_) => value | self.product()?,
                None => return Ok(value),
            };
        }
    }

    /// `a * b`, and what binds as closely in Go.
    fn product(&mut self) -> Result<i128> {
        let mut value = self.operand()?;
        loop {
            value = match self.operator(&["*", "/", "<<", ">>"]) {
                Some("*") => value * self.operand()?,
                Some("/") => value.checked_div(self.operand()?).context("divided by 0")?,
                Some("<<") => value << u32::try_from(self.operand()?)?,
                Some(_) => value >> u32::try_from(self.operand()?)?,
                None => return Ok(value),
            };
        }
    }

    fn operator(&mut self, known: &[&'static str]) -> Option<&'static str> {
        let found = known.iter().find(|operator| self.rest.starts_with(**operator))?;
        self.rest = self.rest[found.len()..].trim_start();
        Some(found)
    }

    fn operand(&mut self) -> Result<i128> {
        if let Some(inside) = self.bracketed('(')? {
            return self.of.value(inside);
        }
        let end =
            self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.rest = self.rest[end..].trim_start();
        let value = match word {
            "iota" => self.of.iota.into(),
            "goarch.PtrSize" => 8,
            "cpu.CacheLinePadSize" | "cpu.CacheLineSize" => 64,
            "unsafe.Sizeof" => {
                let inside = self.bracketed('(')?.context("the size of nothing")?;
                let of = inside.split(['{', '(']).next().unwrap_or_default();
                self.of.layouts.of(of)?.size.into()
            }
            _ => match word.strip_prefix("0x") {
                Some(digits) => i128::from_str_radix(digits, 16)?,
                None if word.starts_with(|c: char| c.is_ascii_digit()) => word.parse()?,
                None => self.of.constant(word)?,
            },
        };
        Ok(value)
    }

    /// What is in brackets, if they are next.
    fn bracketed(&mut self, open: char) -> Result<Option<&'e str>> {
        let Some(inside) = self.rest.strip_prefix(open) else { return Ok(None) };
        let end = super::source::closing(inside).context("a bracket that is not closed")?;
        self.rest = inside[end + 1..].trim_start();
        Ok(Some(&inside[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Package;
    use super::*;

    #[test]
    fn expressions_have_the_values_that_go_gives_them() {
        let layouts = Layouts::new(Package::of(
            "const block = 4 * 1024\nconst (\n\tnone = iota\n\tone = 1 << (iota - 1)\n\ttwo\n)\n\
             type entry struct {\n\ta, b uintptr\n\tc uint32\n}\n",
        ));
        let value = |text| Evaluator::new(&layouts).value(text).unwrap();
        assert_eq!(value("(block - 2*goarch.PtrSize - 2*4) / unsafe.Sizeof(entry{})"), 169);
        assert_eq!([value("one"), value("two"), value("none"), value("0x10 + 1<<3")], [1, 2, 0, 24]);
        assert!(Evaluator::new(&layouts).value("unknown + 1").is_err());
        assert!(Evaluator::new(&layouts).value("1 / 0").is_err());
    }
}
