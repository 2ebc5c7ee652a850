//! GVariant as GLib reads, writes, prints and parses it, and what must hold for any value at all.

use ostler_format::gvariant::{Type, Value};
use proptest::prelude::*;

/// What GLib made of each text. The reference is frozen: change it only by running GLib again.
const VECTORS: &str = include_str!("gvariant_vectors.tsv");

fn lines_of(columns: usize) -> impl Iterator<Item = Vec<&'static str>> {
    VECTORS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(move |line| line.len() == columns)
}

fn asked_type(text: &str) -> Option<Type> {
    (text != "-").then(|| Type::parse(text).expect("the vectors name valid types"))
}

/// Bytes as the vectors have them.
fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = if hex == "-" { "" } else { hex };
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            let pair = digits.get(at..at + 2).expect("the digits are in pairs");
            u8::from_str_radix(pair, 16).expect("the digits are hexadecimal")
        })
        .collect()
}

#[test]
fn texts_have_the_type_the_bytes_and_the_print_that_glib_gives_them() {
    let mut count = 0;
    for line in lines_of(6) {
        let [asked, text, ty, bytes, plain, annotated] = *line else {
            panic!("a line of six columns: {line:?}");
        };
        let value = Value::parse_text(text, asked_type(asked).as_ref())
            .unwrap_or_else(|error| panic!("{text} as {asked}: {error}"));
        assert_eq!(value.ty().to_string(), ty, "{text}");
        assert_eq!(value.to_bytes(), bytes_of(bytes), "{text}");
        assert_eq!(value.print(false), plain, "{text}");
        assert_eq!(value.print(true), annotated, "{text}");
        assert_eq!(
            Value::from_bytes(&value.ty(), &value.to_bytes()),
            Ok(value),
            "{text}"
        );
        count += 1;
    }
    assert!(count > 150, "only {count} vectors");
}

#[test]
fn texts_that_glib_refuses_are_refused() {
    let mut count = 0;
    for line in lines_of(2) {
        let [asked, text] = *line else {
            panic!("a line of two columns: {line:?}");
        };
        let value = Value::parse_text(text, asked_type(asked).as_ref());
        assert!(value.is_err(), "{text} as {asked}: {value:?}");
        count += 1;
    }
    assert!(count > 80, "only {count} vectors");
}

#[test]
fn texts_that_glib_reads_carelessly_are_refused() {
    for text in ["-", "-+5", "0x1.8p3", r"b'a\000b'", r"'\ud800'", "'a\0b'"] {
        assert!(Value::parse_text(text, None).is_err(), "{text:?}");
    }
}

#[test]
fn errors_name_the_place_and_the_reason() {
    let table = [
        ("'é' x", "at character 5: the text goes on behind the value"),
        ("byte 256", "at character 6: 256 is out of range for type 'y'"),
        (
            "[1, 'a']",
            "at character 5: this has another type than what precedes it",
        ),
        ("{'a': }", "at character 7: a value is expected, not '}'"),
        (
            "(1)",
            "at character 3: ',' is expected behind the first member of a tuple",
        ),
        (
            "foo",
            "at character 1: 'foo' is no keyword; a string needs quotes",
        ),
        ("<'x", "at character 2: the closing quote is missing"),
        (
            "@a{vs} {}",
            "at character 1: invalid GVariant type string: 'v' cannot be the key of a dictionary",
        ),
    ];
    for (text, reason) in table {
        let error = Value::parse_text(text, None).unwrap_err().to_string();
        assert_eq!(error, format!("invalid GVariant text: {reason}"), "{text}");
    }
}

#[test]
fn deep_texts_are_refused_without_overflowing() {
    for (open, levels) in [("<", 127), ("[", 64), ("(", 64)] {
        let nested = |levels: usize| match open {
            "<" => format!("{}1{}", "<".repeat(levels), ">".repeat(levels)),
            "[" => format!("{}1{}", "[".repeat(levels), "]".repeat(levels)),
            _ => format!("{}1{}", "(".repeat(levels), ",)".repeat(levels)),
        };
        let value = Value::parse_text(&nested(levels), None).unwrap();
        assert_eq!(Value::from_bytes(&value.ty(), &value.to_bytes()), Ok(value));
        for too_many in [levels + 1, 1_000_000] {
            assert!(Value::parse_text(&nested(too_many), None).is_err());
            assert!(Value::parse_text(&open.repeat(too_many), None).is_err());
        }
    }
}

fn basic_types() -> impl Strategy<Value = Type> {
    prop::sample::select(vec![
        Type::Bool,
        Type::Byte,
        Type::I16,
        Type::U16,
        Type::I32,
        Type::U32,
        Type::I64,
        Type::U64,
        Type::Handle,
        Type::Double,
        Type::Str,
        Type::ObjectPath,
        Type::Signature,
    ])
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![4 => basic_types(), 1 => Just(Type::Variant)];
    leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| Type::Maybe(Box::new(ty))),
            inner.clone().prop_map(|ty| Type::Array(Box::new(ty))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Type::Tuple),
            (basic_types(), inner).prop_map(|(key, value)| Type::DictEntry(Box::new(key), Box::new(value))),
        ]
    })
}

/// Values of a type; `depth` is how many levels of variants they may have.
fn values(ty: &Type, depth: usize) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Byte => any::<u8>().prop_map(Value::Byte).boxed(),
        Type::I16 => any::<i16>().prop_map(Value::I16).boxed(),
        Type::U16 => any::<u16>().prop_map(Value::U16).boxed(),
        Type::I32 => any::<i32>().prop_map(Value::I32).boxed(),
        Type::U32 => any::<u32>().prop_map(Value::U32).boxed(),
        Type::I64 => any::<i64>().prop_map(Value::I64).boxed(),
        Type::U64 => any::<u64>().prop_map(Value::U64).boxed(),
        Type::Handle => any::<i32>().prop_map(Value::Handle).boxed(),
        Type::Double => (any::<f64>(), -5..20)
            .prop_map(|(number, digits)| (number, 10_f64.powi(digits)))
            .prop_flat_map(|(any, round)| prop::sample::select(vec![any, round, -round, round + 0.5]))
            .prop_map(Value::Double)
            .boxed(),
        Type::Str => "[^\0]{0,12}|[a-z'\"\\\\\n]{0,9}|x{250,260}"
            .prop_map(Value::Str)
            .boxed(),
        Type::ObjectPath => "/|(/[a-zA-Z0-9_]{1,4}){1,3}".prop_map(Value::ObjectPath).boxed(),
        Type::Signature => "(a?[ybnqiuxtdsogv]|a\\{sv\\}|\\(ii\\)){0,3}"
            .prop_map(Value::Signature)
            .boxed(),
        Type::Variant if depth == 0 => any::<u32>()
            .prop_map(|number| Value::Variant(Box::new(Value::U32(number))))
            .boxed(),
        Type::Variant => types()
            .prop_flat_map(move |ty| values(&ty, depth - 1))
            .prop_map(|value| Value::Variant(Box::new(value)))
            .boxed(),
        Type::Maybe(inner) => {
            let ty = (**inner).clone();
            prop::option::of(values(inner, depth))
                .prop_map(move |value| Value::Maybe(ty.clone(), value.map(Box::new)))
                .boxed()
        }
        Type::Array(element) if **element == Type::Byte => {
            let byte = prop_oneof![any::<u8>(), 1_u8..128];
            (prop::collection::vec(byte, 0..8), any::<bool>())
                .prop_map(|(bytes, terminated)| {
                    if terminated {
                        Value::bytestring(&bytes)
                    } else {
                        Value::Bytes(bytes)
                    }
                })
                .boxed()
        }
        Type::Array(element) => {
            let ty = (**element).clone();
            prop::collection::vec(values(element, depth), 0..4)
                .prop_map(move |elements| Value::Array(ty.clone(), elements))
                .boxed()
        }
        Type::Tuple(members) => members
            .iter()
            .map(|ty| values(ty, depth))
            .collect::<Vec<_>>()
            .prop_map(Value::Tuple)
            .boxed(),
        Type::DictEntry(key, value) => (values(key, depth), values(value, depth))
            .prop_map(|(key, value)| Value::DictEntry(Box::new(key), Box::new(value)))
            .boxed(),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    types().prop_flat_map(|ty| values(&ty, 2))
}

#[derive(Debug, Clone)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = || any::<prop::sample::Index>();
    let byte = || prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()];
    let mutation = prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), 0_u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at().prop_map(Mutation::Remove),
        at().prop_map(Mutation::Cut),
    ];
    prop::collection::vec(mutation, 1..4)
}

fn mutated(mut bytes: Vec<u8>, mutations: Vec<Mutation>) -> Vec<u8> {
    for mutation in mutations {
        let len = bytes.len();
        let place = |at: prop::sample::Index| at.index(len.max(1));
        match mutation {
            Mutation::Insert(at, byte) => bytes.insert(at.index(len + 1), byte),
            _ if bytes.is_empty() => {}
            Mutation::Set(at, byte) => bytes[place(at)] = byte,
            Mutation::Flip(at, bit) => bytes[place(at)] ^= 1 << bit,
            Mutation::Remove(at) => drop(bytes.remove(place(at))),
            Mutation::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn any_value_survives_its_bytes(value in any_value()) {
        let bytes = value.to_bytes();
        prop_assert_eq!(Value::from_bytes(&value.ty(), &bytes), Ok(value));
    }

    #[test]
    fn any_value_survives_its_text(value in any_value()) {
        let annotated = value.print(true);
        prop_assert_eq!(Value::parse_text(&annotated, None), Ok(value.clone()), "{}", annotated);
        let plain = value.print(false);
        prop_assert_eq!(Value::parse_text(&plain, Some(&value.ty())), Ok(value), "{}", plain);
    }

    #[test]
    fn what_is_accepted_is_written_back_unchanged(value in any_value(), mutations in mutations()) {
        let bytes = mutated(value.to_bytes(), mutations);
        if let Ok(read) = Value::from_bytes(&value.ty(), &bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(ty in types(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(read) = Value::from_bytes(&ty, &bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(
        text in "([\\[\\](){}<>,: '\"\\\\@-]|just |nothing|byte |@a?[suyv(]|b'|0x|1|e|\\.|[a-z]|é){0,24}",
    ) {
        if let Ok(value) = Value::parse_text(&text, None) {
            prop_assert_eq!(Value::parse_text(&value.print(true), None), Ok(value));
        }
    }

    #[test]
    fn any_type_survives_its_string(ty in types()) {
        prop_assert_eq!(Type::parse(&ty.to_string()), Ok(ty));
    }
}
