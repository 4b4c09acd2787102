//! Names that requests ask for (semantics E7, B39): few at a time, since clients choose them.

use super::{Addresses, NoAddress};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Names that are known at once, and requests that wait for one of them: Envoy's own bounds.
const MOST: usize = 1024;

/// For so long, at least, an answer holds: Envoy's own bound.
const SHORTEST: Duration = Duration::from_secs(5);

type Outcome = Result<Addresses, NoAddress>;

/// By name, in lower case.
#[derive(Debug, Default)]
pub(super) struct Asked {
    names: HashMap<Arc<str>, Name>,
}

#[derive(Debug)]
struct Name {
    /// What came of it last, and until when that holds.
    outcome: Option<(Outcome, Instant)>,
    /// Who waits while it is looked up; none: it is not.
    waiting: Option<Vec<oneshot::Sender<Outcome>>>,
    /// When it was asked for last.
    used: Instant,
}

/// How it stands with a name.
#[derive(Debug)]
pub(super) enum Standing {
    Known(Outcome),
    /// It is being looked up.
    Wait(oneshot::Receiver<Outcome>),
    /// It is for the caller to have it looked up.
    LookUp(oneshot::Receiver<Outcome>),
    Overflow,
}

impl Asked {
    pub(super) fn standing(&mut self, name: &Arc<str>, now: Instant) -> Standing {
        if !self.names.contains_key(name) && !self.make_room() {
            return Standing::Overflow;
        }
        let known = self.names.entry(Arc::clone(name)).or_insert(Name { outcome: None, waiting: None, used: now });
        known.used = now;
        if let Some((outcome, until)) = &known.outcome
            && *until > now
        {
            return Standing::Known(outcome.clone());
        }
        let (sender, receiver) = oneshot::channel();
        match &mut known.waiting {
            Some(waiting) if waiting.len() >= MOST => Standing::Overflow,
            Some(waiting) => {
                waiting.push(sender);
                Standing::Wait(receiver)
            }
            None => {
                known.waiting = Some(vec![sender]);
                Standing::LookUp(receiver)
            }
        }
    }

    /// Forgets the name that nobody has asked for for longest, where there are too many; false: all are being looked up.
    fn make_room(&mut self) -> bool {
        if self.names.len() < MOST {
            return true;
        }
        let known = self.names.iter().filter(|(_, known)| known.waiting.is_none());
        let oldest = known.min_by_key(|(_, known)| known.used).map(|(name, _)| Arc::clone(name));
        oldest.is_some_and(|name| self.names.remove(&name).is_some())
    }

    /// A name has been looked up, and `lifetime` is how long that holds. Where it failed, the addresses that it had before
    /// go on to hold.
    pub(super) fn heard(&mut self, name: &str, outcome: Outcome, lifetime: Duration, now: Instant) {
        let Some(known) = self.names.get_mut(name) else { return };
        let before = known.outcome.take().map(|(outcome, _)| outcome);
        let outcome = match (outcome, before) {
            (Err(_), Some(Ok(addresses))) => Ok(addresses),
            (outcome, _) => outcome,
        };
        for sender in known.waiting.take().into_iter().flatten() {
            // Who asked may be gone.
            let _ = sender.send(outcome.clone());
        }
        let lifetime = if outcome.is_ok() { lifetime.max(SHORTEST) } else { SHORTEST };
        known.outcome = now.checked_add(lifetime).map(|until| (outcome, until));
    }

    /// A name cannot be looked up: whoever waits for it is told by the end of their channel.
    pub(super) fn give_up(&mut self, name: &str) {
        self.names.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn addresses() -> Addresses {
        Arc::new([IpAddr::V4(Ipv4Addr::LOCALHOST)])
    }

    fn failed() -> Outcome {
        Err(NoAddress::Failed("no".into()))
    }

    #[test]
    fn who_asks_while_a_name_is_looked_up_waits_with_the_first() {
        let (mut asked, now, name) = (Asked::default(), Instant::now(), Arc::from("a.org"));
        let Standing::LookUp(mut first) = asked.standing(&name, now) else { panic!("it is new") };
        let Standing::Wait(mut second) = asked.standing(&name, now) else { panic!("it is being looked up") };
        assert!(first.try_recv().is_err());
        asked.heard(&name, Ok(addresses()), Duration::from_mins(1), now);
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(Ok(addresses())), Ok(Ok(addresses()))));
        assert!(matches!(asked.standing(&name, now + Duration::from_secs(59)), Standing::Known(Ok(_))));
        assert!(matches!(asked.standing(&name, now + Duration::from_mins(1)), Standing::LookUp(_)));
    }

    #[test]
    fn a_failure_is_known_for_a_while_and_takes_no_addresses_away() {
        let (mut asked, now, name) = (Asked::default(), Instant::now(), Arc::from("a.org"));
        let _first = asked.standing(&name, now);
        asked.heard(&name, failed(), Duration::from_mins(1), now);
        assert!(matches!(asked.standing(&name, now + Duration::from_secs(4)), Standing::Known(Err(_))));
        let later = now + SHORTEST;
        let Standing::LookUp(_) = asked.standing(&name, later) else { panic!("it is tried again") };
        asked.heard(&name, Ok(addresses()), Duration::ZERO, later);
        let Standing::LookUp(mut again) = asked.standing(&name, later + SHORTEST) else { panic!("it is over") };
        asked.heard(&name, failed(), Duration::ZERO, later + SHORTEST);
        assert_eq!(again.try_recv(), Ok(Ok(addresses())));
    }

    #[test]
    fn names_that_clients_choose_are_bounded() {
        let (mut asked, now) = (Asked::default(), Instant::now());
        let name = |number: usize| -> Arc<str> { format!("{number}.org").into() };
        for number in 0..MOST {
            assert!(matches!(asked.standing(&name(number), now), Standing::LookUp(_)));
        }
        assert!(matches!(asked.standing(&name(MOST), now), Standing::Overflow), "all are being looked up");
        asked.heard("7.org", failed(), Duration::ZERO, now);
        assert!(matches!(asked.standing(&name(MOST), now), Standing::LookUp(_)));
        assert_eq!(asked.names.len(), MOST);
        assert!(!asked.names.contains_key("7.org"));
        for _ in 1..MOST {
            assert!(matches!(asked.standing(&name(0), now), Standing::Wait(_)));
        }
        assert!(matches!(asked.standing(&name(0), now), Standing::Overflow));
    }
}
