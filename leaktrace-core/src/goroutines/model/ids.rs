//! Numbers of table entries. `Option` of one takes no more room than itself.

use std::num::NonZeroU32;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The place in the table, from 0.
            pub const fn index(self) -> usize {
                self.0.get() as usize - 1
            }

            /// The id of the entry at `index`, unless that is more than a table holds.
            pub(crate) fn from_index(index: usize) -> Option<Self> {
                u32::try_from(index).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
            }

            /// The id of the next entry of `table`. A table that is full answers with its last entry.
            pub(in crate::goroutines) fn next_of<T>(table: &[T]) -> Self {
                Self::from_index(table.len()).unwrap_or(Self(NonZeroU32::MAX))
            }
        }
    };
}

id!(
    /// A string.
    StrId
);
id!(
    /// A function.
    FunctionId
);
id!(
    /// A place in code.
    LocationId
);
id!(
    /// A stack.
    StackId
);
id!(
    /// A set of profiler labels.
    LabelsId
);
id!(
    /// A channel.
    ChannelId
);
id!(
    /// What a goroutine is blocked on.
    BlockedId
);
id!(
    /// How the arguments of the frames of one stack are printed.
    ArgumentsId
);
id!(
    /// The values of the arguments of one goroutine.
    ValuesId
);
