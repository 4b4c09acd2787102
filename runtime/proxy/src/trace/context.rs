//! Which trace a request belongs to, as its headers say it: W3C's `traceparent`, and B3 in many headers or in one.

use crate::random::Random;
use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");
const B3_LINES: [HeaderName; 5] = [B3_TRACE, B3_SPAN, B3_PARENT, B3_SAMPLED, B3_FLAGS];

/// The trace of a request, and its caller's span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace: u128,
    /// None: the trace begins here.
    pub(crate) parent: Option<u64>,
    /// What the caller decided; none: it left it open.
    pub(crate) sampled: Option<bool>,
    /// Whether the caller spoke W3C's form: only then its `tracestate` belongs to the trace.
    is_w3c: bool,
    /// Whether it came in these forms, sound or not: they are written anew, lest they tell of another trace.
    has_b3: bool,
    has_b3_lines: bool,
    /// Of its identifier: B3 knows some of 64 bits.
    digits: usize,
}

/// What one form of headers says.
#[derive(Clone, Copy, Debug)]
struct Said {
    ids: Option<(u128, u64)>,
    sampled: Option<bool>,
    digits: usize,
}

impl Context {
    /// As the headers say, W3C's form before the others; a trace that begins here, where they do not.
    pub(crate) fn of(headers: &HeaderMap, random: &Random) -> Self {
        let w3c = only(headers, &TRACEPARENT).and_then(traceparent);
        let single = only(headers, &B3).and_then(b3);
        let lines = b3_lines(headers);
        let said = [w3c, single, lines].into_iter().flatten();
        let found = said.clone().find(|said| said.ids.is_some());
        let (trace, parent) = match found.and_then(|said| said.ids) {
            Some((trace, parent)) => (trace, Some(parent)),
            None => (new_trace(random), None),
        };
        Context {
            trace,
            parent,
            // A decision may come without a trace.
            sampled: found.or_else(|| said.clone().next()).and_then(|said| said.sampled),
            is_w3c: w3c.is_some(),
            has_b3: headers.contains_key(B3),
            has_b3_lines: B3_LINES.iter().any(|name| headers.contains_key(name)),
            digits: found.map_or(LONG, |said| said.digits),
        }
    }

    /// Writes the trace to a request that goes upstream, in W3C's form and in those that came, so that all of them tell
    /// of it alone. `span` is the caller's there, `parent` that one's.
    pub(crate) fn write(&self, headers: &mut HeaderMap, span: u64, parent: u64, is_sampled: bool) {
        let flag = u8::from(is_sampled);
        insert(headers, TRACEPARENT, &format!("00-{:032x}-{span:016x}-{flag:02x}", self.trace));
        if !self.is_w3c {
            headers.remove(TRACESTATE);
        }
        if !self.has_b3 && !self.has_b3_lines {
            return;
        }
        let trace = format!("{:0digits$x}", self.trace, digits = self.digits);
        if self.has_b3 {
            insert(headers, B3, &format!("{trace}-{span:016x}-{flag}-{parent:016x}"));
        }
        if self.has_b3_lines {
            insert(headers, B3_TRACE, &trace);
            insert(headers, B3_SPAN, &format!("{span:016x}"));
            insert(headers, B3_PARENT, &format!("{parent:016x}"));
            insert(headers, B3_SAMPLED, if is_sampled { "1" } else { "0" });
            // It says that the trace is sampled, too.
            if !(is_sampled && is_debug(headers)) {
                headers.remove(B3_FLAGS);
            }
        }
    }
}

/// Digits of a trace's identifier.
const LONG: usize = 32;

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn new_trace(random: &Random) -> u128 {
    (u128::from(random.next()) << 64 | u128::from(random.next())).max(1)
}

/// The text of a header that has one line.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(first)
}

/// A number of so many hexadecimal digits, which is not 0.
fn id(text: &str, digits: usize) -> Option<u128> {
    hex(text, digits).filter(|&id| id != 0)
}

/// A number of so many hexadecimal digits: `from_str_radix` alone takes signs.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok())?
}

fn span_id(text: &str) -> Option<u64> {
    id(text, 16).and_then(|id| u64::try_from(id).ok())
}

/// `00-TRACE-SPAN-FLAGS`; later versions may say more.
fn traceparent(text: &str) -> Option<Said> {
    let mut parts = text.trim().split('-');
    let version = hex(parts.next()?, 2).filter(|&version| version != 0xff)?;
    let ids = (id(parts.next()?, LONG)?, span_id(parts.next()?)?);
    let flags = hex(parts.next()?, 2)?;
    if version == 0 && parts.next().is_some() {
        return None;
    }
    Some(Said { ids: Some(ids), sampled: Some(flags & 1 == 1), digits: LONG })
}

/// The trace of B3, of 64 or 128 bits, and its digits.
fn b3_trace(text: &str) -> Option<(u128, usize)> {
    [LONG, 16].into_iter().find_map(|digits| Some((id(text, digits)?, digits)))
}

fn b3_decision(text: &str) -> Option<bool> {
    match text {
        "1" | "d" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// `TRACE-SPAN`, `TRACE-SPAN-DECISION`, `TRACE-SPAN-DECISION-PARENT`, or a decision alone.
fn b3(text: &str) -> Option<Said> {
    let Some((trace, rest)) = text.split_once('-') else {
        return Some(Said { ids: None, sampled: Some(b3_decision(text)?), digits: LONG });
    };
    let (trace, digits) = b3_trace(trace)?;
    let mut rest = rest.split('-');
    let span = span_id(rest.next()?)?;
    let sampled = rest.next().map(|decision| b3_decision(decision).ok_or(())).transpose().ok()?;
    let is_parent = rest.next().is_none_or(|parent| span_id(parent).is_some());
    if !is_parent || rest.next().is_some() {
        return None;
    }
    Some(Said { ids: Some((trace, span)), sampled, digits })
}

fn is_debug(headers: &HeaderMap) -> bool {
    only(headers, &B3_FLAGS) == Some("1")
}

fn b3_lines(headers: &HeaderMap) -> Option<Said> {
    let sampled = if is_debug(headers) { Some(true) } else { only(headers, &B3_SAMPLED).and_then(b3_decision) };
    let trace = only(headers, &B3_TRACE).and_then(b3_trace);
    let ids = trace.zip(only(headers, &B3_SPAN).and_then(span_id));
    let digits = trace.map_or(LONG, |(_, digits)| digits);
    let ids = ids.map(|((trace, _), span)| (trace, span));
    (ids.is_some() || sampled.is_some()).then_some(Said { ids, sampled, digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
    const SPAN: u64 = 0xb7ad_6b71_6920_3331;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn known(context: &Context) -> Option<(u128, u64, Option<bool>)> {
        Some((context.trace, context.parent?, context.sampled))
    }

    #[test]
    fn every_form_is_read() {
        let w3c = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let single = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";
        let id = [("x-b3-traceid", "0af7651916cd43dd8448eb211c80319c"), ("x-b3-spanid", "b7ad6b7169203331")];
        for (lines, sampled) in [
            (vec![("traceparent", w3c)], Some(true)),
            (vec![("b3", single)], Some(false)),
            (vec![("traceparent", w3c), ("b3", "0")], Some(true)),
            (vec![("traceparent", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more")], Some(false)),
            (id.to_vec(), None),
            ([&id[..], &[("x-b3-sampled", "0")]].concat(), Some(false)),
            ([&id[..], &[("x-b3-sampled", "0"), ("x-b3-flags", "1")]].concat(), Some(true)),
        ] {
            assert_eq!(
                known(&Context::of(&headers(&lines), &Random::new(1, 0))),
                Some((TRACE, SPAN, sampled)),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn what_is_no_trace_begins_one() {
        let random = Random::new(1, 0);
        for (lines, sampled) in [
            (vec![], None),
            (vec![("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")], None),
            (vec![("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")], None),
            (vec![("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more")], None),
            (vec![("traceparent", "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")], None),
            (vec![("traceparent", "+0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")], None),
            (vec![("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1")], None),
            (vec![("b3", "0af7651916cd43dd-")], None),
            (vec![("b3", "0af7651916cd43dd-b7ad6b7169203331-1-+7ad6b7169203331")], None),
            (vec![("b3", "0af7651916cd43dd-b7ad6b7169203331-1-b7ad6b7169203331-more")], None),
            (vec![("x-b3-traceid", "+af7651916cd43dd"), ("x-b3-spanid", "b7ad6b7169203331")], None),
            (vec![("b3", "d")], Some(true)),
            (vec![("x-b3-sampled", "0")], Some(false)),
        ] {
            let [one, other] = [(); 2].map(|()| Context::of(&headers(&lines), &random));
            assert_eq!((one.parent, one.sampled), (None, sampled), "{lines:?}");
            assert_ne!(one.trace, other.trace);
        }
    }

    #[test]
    fn it_goes_on_in_the_forms_in_which_it_came() {
        let came = headers(&[
            ("x-b3-traceid", "8448eb211c80319c"),
            ("x-b3-spanid", "b7ad6b7169203331"),
            ("x-b3-sampled", "1"),
            ("tracestate", "of=another"),
        ]);
        let mut sent = came.clone();
        Context::of(&came, &Random::new(1, 0)).write(&mut sent, 7, 5, true);
        assert_eq!(sent["traceparent"], "00-00000000000000008448eb211c80319c-0000000000000007-01");
        assert_eq!(
            (&sent["x-b3-traceid"], &sent["x-b3-spanid"]),
            (&came["x-b3-traceid"], &"0000000000000007".parse().unwrap())
        );
        assert_eq!(sent["x-b3-parentspanid"], "0000000000000005");
        assert!(!sent.contains_key("tracestate") && !sent.contains_key("b3"));
        let came = headers(&[
            ("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a=b"),
        ]);
        let mut sent = came.clone();
        Context::of(&came, &Random::new(1, 0)).write(&mut sent, 7, 5, false);
        assert_eq!(sent["b3"], "0af7651916cd43dd8448eb211c80319c-0000000000000007-0-0000000000000005");
        assert_eq!(sent["tracestate"], "a=b");
    }

    #[test]
    fn all_that_goes_on_tells_of_one_trace() {
        let not = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        let another = "463ac35c9f6413ad48485a3953bb6124";
        for lines in [
            vec![("x-b3-traceid", another)],
            vec![("x-b3-traceid", "broken"), ("x-b3-spanid", "a2fb4a1d1a96d312")],
            vec![("x-b3-spanid", "a2fb4a1d1a96d312"), ("x-b3-parentspanid", "a2fb4a1d1a96d311")],
            vec![("b3", "463ac35c9f6413ad48485a3953bb6124-broken")],
            vec![("b3", "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"), ("x-b3-flags", "1")],
            vec![not, ("x-b3-flags", "1")],
            vec![not, ("x-b3-flags", "1"), ("x-b3-sampled", "1"), ("x-b3-traceid", another)],
        ] {
            let came = headers(&lines);
            let mut sent = came.clone();
            let context = Context::of(&came, &Random::new(1, 0));
            let is_sampled = context.sampled.unwrap_or(true);
            context.write(&mut sent, 7, 5, is_sampled);
            let (trace, flag) = (format!("{:032x}", context.trace), u8::from(is_sampled));
            let (span, parent) = (format!("{:016x}", 7), format!("{:016x}", 5));
            assert_eq!(sent["traceparent"], format!("00-{trace}-{span}-{flag:02}"), "{lines:?}");
            assert_eq!(sent.contains_key("b3"), came.contains_key("b3"), "{lines:?}");
            for (name, value) in [
                ("b3", format!("{trace}-{span}-{flag}-{parent}")),
                ("x-b3-traceid", trace),
                ("x-b3-spanid", span),
                ("x-b3-parentspanid", parent),
                ("x-b3-sampled", flag.to_string()),
                ("x-b3-flags", flag.to_string()),
            ] {
                assert!(sent.get(name).is_none_or(|sent| sent == value.as_str()), "{name} of {lines:?}: {sent:?}");
            }
        }
    }
}
