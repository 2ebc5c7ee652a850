//! Which static deltas a publish makes, as the command line says it.

use ostler_transfer::{DeltaOrigins, DeltaRule, Selection};
use std::str::FromStr;

/// A pattern of refs, and how many generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeltaArg {
    pattern: String,
    generations: u64,
}

impl FromStr for DeltaArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // No ref has a colon in its name.
        let (pattern, generations) = match text.rsplit_once(':') {
            None => (text, 1),
            Some((pattern, number)) => match number.parse() {
                Ok(number) if number > 0 => (pattern, number),
                _ => return Err(format!("'{number}' is no number of generations")),
            },
        };
        if pattern.is_empty() {
            return Err("a pattern of refs is missing".to_owned());
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            generations,
        })
    }
}

/// Returns the rules.
pub(super) fn rules(from_past: &[DeltaArg], from_nothing: &[String]) -> anyhow::Result<Vec<DeltaRule>> {
    let rule = |pattern: &str, generations, nothing| {
        let refs = Selection::new(&[pattern.to_owned()])?;
        let origins = DeltaOrigins { generations, nothing };
        Ok(DeltaRule { refs, origins })
    };
    let past = from_past
        .iter()
        .map(|wanted| rule(&wanted.pattern, wanted.generations, false));
    let nothing = from_nothing.iter().map(|pattern| rule(pattern, 0, true));
    past.chain(nothing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_generations_follows_the_pattern() {
        let arg = |pattern: &str, generations| {
            Ok(DeltaArg {
                pattern: pattern.to_owned(),
                generations,
            })
        };
        assert_eq!("os/*".parse(), arg("os/*", 1));
        assert_eq!("os/**:5".parse(), arg("os/**", 5));
        for wrong in ["", ":3", "os:", "os:0", "os:x"] {
            assert!(wrong.parse::<DeltaArg>().is_err(), "{wrong}");
        }
    }
}
