//! How far two replies to one request are apart, for SHADOW: by their numbers, in any protocol and encoding.

use std::fmt;

use super::average::pairs;
use super::tensor;
use crate::config::settings::Protocol;
use crate::record::Message;

/// What differs between two replies.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// The same bytes, or the same numbers. NaN is the same as NaN here.
    Equal,
    /// Other numbers in tensors of the same names and shapes.
    Numbers {
        /// The largest distance of two numbers; infinite where one of the two is no finite number.
        max_abs: f64,
        /// How many differ.
        elements: usize,
    },
    /// Nothing to compare by.
    Incomparable {
        /// Why, for people.
        reason: String,
    },
}

impl Difference {
    /// Whether there is none.
    pub fn is_equal(&self) -> bool {
        *self == Self::Equal
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal => f.write_str("none"),
            Self::Numbers { max_abs, elements } => write!(f, "{elements} numbers, by {max_abs} at most"),
            Self::Incomparable { reason } => f.write_str(reason),
        }
    }
}

/// Compares a reply with another to the same request.
pub fn compare(protocol: Protocol, a: &Message, b: &Message) -> Difference {
    if a.body == b.body && a.form == b.form {
        return Difference::Equal;
    }
    let incomparable = |reason| Difference::Incomparable { reason };
    let first = match tensor::read(protocol, a) {
        Ok(read) => read,
        Err(error) => return incomparable(format!("the first reply: {error}")),
    };
    let second = match tensor::read(protocol, b) {
        Ok(read) => read,
        Err(error) => return incomparable(format!("the second reply: {error}")),
    };
    let pairs = match pairs(&first, &second) {
        Ok(pairs) => pairs,
        Err(difference) => return incomparable(format!("the second reply differs in {difference}")),
    };
    let values = pairs.into_iter().flat_map(|(a, b)| a.values.iter().zip(&b.values));
    let distances = values.map(|(a, b)| distance(*a, *b)).filter(|distance| *distance > 0.0);
    let (max_abs, elements) = distances.fold((0f64, 0), |(max, count), distance| (max.max(distance), count + 1));
    if elements == 0 { Difference::Equal } else { Difference::Numbers { max_abs, elements } }
}

fn distance(a: f64, b: f64) -> f64 {
    if a.partial_cmp(&b) == Some(std::cmp::Ordering::Equal) || a.is_nan() && b.is_nan() {
        return 0.0;
    }
    let distance = (a - b).abs();
    if distance.is_nan() { f64::INFINITY } else { distance }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::convert;
    use crate::config::settings::Transport;

    fn seldon(a: &str, b: &str) -> Difference {
        let message = |array: &str| Message::json(format!("{{\"data\":{{\"ndarray\":{array}}}}}"));
        compare(Protocol::Seldon, &message(a), &message(b))
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        assert_eq!(seldon("[[1,NaN]]", "[[ 1.0,NaN]]"), Difference::Equal);
        let text = Message::json("no numbers at all");
        assert_eq!(compare(Protocol::V2, &text, &text.clone()), Difference::Equal);
        let json =
            Message::json("{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":[0.1,5.1]}]}");
        let proto = convert::to(Protocol::V2, &json, Transport::Grpc).unwrap();
        assert_eq!(compare(Protocol::V2, &json, &proto), Difference::Equal);
    }

    #[test]
    fn other_numbers_are_counted_and_measured() {
        assert_eq!(seldon("[[1,2,3]]", "[[1,2.5,1]]"), Difference::Numbers { max_abs: 2.0, elements: 2 });
        let far = Difference::Numbers { max_abs: f64::INFINITY, elements: 1 };
        for (a, b) in
            [("[1]", "[NaN]"), ("[Infinity]", "[-Infinity]"), ("[Infinity]", "[1]"), ("[1.7e308]", "[-1.7e308]")]
        {
            assert_eq!(seldon(a, b), far);
        }
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let reason = |difference| match difference {
            Difference::Incomparable { reason } => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(seldon("[1]", "[1,2]")), "the second reply differs in the shape of 'data': [2] for [1]");
        assert_eq!(reason(seldon("[1]", "[\"x\"]")), "the second reply: 'data': \"x\" is no number");
        let text = (Message::json("x"), Message::json("y"));
        assert_eq!(
            reason(compare(Protocol::Tensorflow, &text.0, &text.1)),
            "the first reply: it is not JSON: expected a value at byte 0"
        );
    }

    proptest! {
        #[test]
        fn it_is_symmetric(a in proptest::collection::vec(any::<f64>(), 3), b in proptest::collection::vec(any::<f64>(), 3)) {
            let print = |values: &[f64]| {
                let mut out = String::new();
                crate::codec::json::edit::list(&mut out, values, |out, value| crate::codec::json::number::print(out, *value));
                format!("[{out}]")
            };
            prop_assert_eq!(seldon(&print(&a), &print(&b)), seldon(&print(&b), &print(&a)));
            prop_assert_eq!(seldon(&print(&a), &print(&a).replace(',', " ,")), Difference::Equal);
        }
    }
}
