//! Formats as values of options: their names and what they are good for come from their table.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use leaktrace_core::base::format::{Format, Formats};

/// Takes one of `formats` by its name.
pub(super) fn parser<W: Sync + 'static>(
    formats: &'static Formats<W>,
) -> impl TypedValueParser<Value = &'static Format<W>> {
    let values = formats.all().iter().map(|format| PossibleValue::new(format.name).help(format.help));
    PossibleValuesParser::new(values)
        .try_map(|typed: String| formats.named(&typed).ok_or("none of the possible values"))
}
