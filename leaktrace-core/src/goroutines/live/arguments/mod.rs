//! The values of arguments, from the stacks of goroutines that do not run.
//!
//! Which words of a stack they are is told to the walk, which keeps them of every stack that it shows, so that a
//! goroutine's values are those of the very stack that is shown. Only what is deeper than what the walk reads of all
//! stacks is read after it.

mod plan;

use crate::base::num::ReturnPc;
use crate::go::goroutines::{self as stacks, KeptWords, WordPlan, WordPlans};
use crate::go::program::Program;
use crate::goroutines::DumpBuilder;
use crate::goroutines::model::{Arguments as Known, ArgumentsId, StackId};
use plan::Plans;

/// Tells a walk which words of a program's stacks are arguments.
pub struct ArgumentWords<'p>(Plans<'p>);

impl<'p> ArgumentWords<'p> {
    /// Those of `program`.
    pub fn new(program: &'p Program<'p>) -> Self {
        Self(Plans::new(program))
    }
}

impl WordPlans for ArgumentWords<'_> {
    fn plan(&mut self, pcs: &[ReturnPc]) -> WordPlan {
        self.0.words(pcs)
    }
}

/// The arguments of the goroutines of a snapshot.
pub(super) struct Arguments<'a> {
    plans: Plans<'a>,
    /// How those of each stack are printed, by its number in the walk, as far as that was asked.
    texts: Vec<Option<ArgumentsId>>,
    beyond: u64,
}

impl<'a> Arguments<'a> {
    /// Those whose values were `kept` by the walk.
    pub(super) fn new(program: &'a Program<'a>, kept: Option<KeptWords>, builder: &mut DumpBuilder) -> Self {
        let KeptWords { rows, beyond } = kept.unwrap_or_default();
        builder.all_values(rows);
        Self { plans: Plans::new(program), texts: Vec::new(), beyond }
    }

    /// What a reader should know of goroutines whose values were wanted and are not there.
    pub(super) fn note(&self) -> Option<String> {
        let beyond = self.beyond;
        (beyond > 0).then(|| format!("there was no room for the argument values of {beyond} goroutines"))
    }

    /// Those of the goroutine with this index in the snapshot that stands at `pcs`, which the walk has as `id` and the dump
    /// as `stack`.
    pub(super) fn of(
        &mut self,
        index: usize,
        (id, pcs): (stacks::StackId, &[ReturnPc]),
        stack: StackId,
        builder: &mut DumpBuilder,
    ) -> Option<Known> {
        let values = builder.values_at(index)?;
        if self.texts.len() <= id.index() {
            self.texts.resize(id.index() + 1, None);
        }
        let texts = self.texts[id.index()];
        let texts = texts.unwrap_or_else(|| self.plans.texts(pcs, stack, builder));
        self.texts[id.index()] = Some(texts);
        Some(Known { texts, values })
    }
}
