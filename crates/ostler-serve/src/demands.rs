//! What a request must carry to be answered: a password, cookies, headers.

use hyper::header::{self, HeaderMap};

/// What every request must carry.
#[derive(Debug, Clone, Default)]
pub struct Demands {
    /// The value of `Authorization`, as it is sent; without it requests are answered with 401.
    pub authorization: Option<String>,
    /// Cookies with their values; without them requests are answered with 403.
    pub cookies: Vec<(String, String)>,
    /// Headers with their values; without them requests are answered with 403.
    pub headers: Vec<(String, String)>,
}

impl Demands {
    /// Returns whether the client has told who it is, if it must.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        self.authorization.as_deref().is_none_or(|wanted| {
            headers
                .get(header::AUTHORIZATION)
                .is_some_and(|sent| sent.as_bytes() == wanted.as_bytes())
        })
    }

    /// Returns what a request lacks, in words for the log.
    pub(crate) fn lacking(&self, headers: &HeaderMap) -> Option<String> {
        let sent = cookies(headers);
        for (name, value) in &self.cookies {
            if !sent.contains(&(name.as_str(), value.as_str())) {
                return Some(format!("Expected cookie not found {name}={value}"));
            }
        }
        for (name, value) in &self.headers {
            match headers.get(name).map(|sent| sent.to_str().unwrap_or_default()) {
                None => return Some(format!("Expected header not found {name}")),
                Some(sent) if sent != value => {
                    let sent = sent.escape_debug();
                    return Some(format!("Expected header {name}: {value} but found {sent}"));
                }
                Some(_) => {}
            }
        }
        None
    }
}

fn cookies(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn sent(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn cookies_and_headers_are_asked_for_by_value() {
        let demands = Demands {
            cookies: vec![("k".into(), "v".into()), ("l".into(), "w".into())],
            headers: vec![("X-A".into(), "b".into())],
            ..Demands::default()
        };
        for (pairs, lacks) in [
            (vec![], Some("Expected cookie not found k=v")),
            (
                vec![("cookie", "k=x; l=w")],
                Some("Expected cookie not found k=v"),
            ),
            (
                vec![("cookie", "l=w; k=v")],
                Some("Expected header not found X-A"),
            ),
            (
                vec![("cookie", "l=w;k=v"), ("x-a", "c")],
                Some("Expected header X-A: b but found c"),
            ),
            (vec![("cookie", "o=1; l=w; k=v"), ("x-a", "b")], None),
        ] {
            assert_eq!(demands.lacking(&sent(&pairs)).as_deref(), lacks, "{pairs:?}");
        }
    }

    #[test]
    fn password_is_compared_whole() {
        let demands = Demands {
            authorization: Some("Basic abc".into()),
            ..Demands::default()
        };
        assert!(demands.admits(&sent(&[("authorization", "Basic abc")])));
        assert!(!demands.admits(&sent(&[("authorization", "Basic ab")])));
        assert!(!demands.admits(&sent(&[])));
    }
}
