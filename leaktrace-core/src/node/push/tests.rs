use proptest::prelude::*;

use super::*;
use crate::base::escape;

/// What any server may say.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let frame = prop_oneof![Just(0_u8), Just(0x80), any::<u8>()];
    let framed = (frame, any::<u8>(), prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(kind, len, rest)| [&[kind, 0, 0, 0, len], rest.as_slice()].concat());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..400), framed, ".{0,200}".prop_map(String::into_bytes)]
}

proptest! {
    #[test]
    fn whatever_a_server_says_is_told_shortly_and_on_one_line(
        status in 0..700_u16,
        code in prop::option::of("[0-9]{0,3}|.{0,20}"),
        message in prop::option::of(".{0,500}"),
        body in said(),
    ) {
        let outcomes = [
            connect_outcome(status, &body),
            grpc_web_outcome(status, code.as_deref(), message.as_deref(), &body),
            otlp_outcome(status, &body),
        ];
        for outcome in outcomes {
            match outcome {
                Outcome::Sent => prop_assert!((200..300).contains(&status)),
                Outcome::Refused(why) | Outcome::Failed(why) => {
                    prop_assert!(escape::is_printable(&why) && why.len() < 2_500, "{why}");
                }
            }
        }
    }
}
