//! What commands add to the reports of their sessions.

use leaktrace_core::go::symbols::Symbols;
use leaktrace_core::schema::Report;
use leaktrace_core::trace::registry::Registry;

/// Looks at each report before it is handed on.
pub trait ReportPass: Send {
    /// Adds to `report` what is to be said, and says whether it is to be handed on.
    fn pass(
        &mut self,
        report: &mut Report,
        registry: &Registry,
        symbols: &dyn Symbols,
        is_last: bool,
    ) -> bool;
}

/// Adds nothing.
#[derive(Clone, Copy, Debug)]
pub struct AsItIs;

impl ReportPass for AsItIs {
    fn pass(&mut self, _: &mut Report, _: &Registry, _: &dyn Symbols, _: bool) -> bool {
        true
    }
}
