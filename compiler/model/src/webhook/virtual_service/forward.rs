//! What is refused of destinations and their weights.

use super::{Judge, Place, given};
use crate::{
    Spanned,
    istio::Destination,
    rules::{INVALID_TEXT, OUT_OF_RANGE},
    webhook::ports::check_port_number,
};

/// Judges a destination.
pub(super) fn judge_destination(place: &Place<'_>, destination: &Destination, judge: &mut Judge<'_, '_>) {
    if let Some(host) = &destination.host {
        if host.value == "*" {
            let message = "`*` is no destination: it names no service";
            judge.refuse(&INVALID_TEXT, &place.key("host"), host.span, message, "name the service");
        } else {
            judge.host(&place.key("host"), host, false);
        }
    }
    if let Some(subset) = given(destination.subset.as_ref()) {
        judge.label(&place.key("subset"), subset, "a subset");
    }
    if let Some(port) = &destination.port {
        let place = place.key("port");
        match &port.number {
            Some(number) => check_port_number(Some(number), format_args!("{}", place.key("number")), judge),
            None => judge.refuse_at(
                &OUT_OF_RANGE,
                &place.key("number"),
                "this port has no number, which counts as 0, and that is no port",
                "add `number`, or leave `port` out if the service has only one",
            ),
        }
    }
}

/// Judges the weights of the destinations in the list at `list`.
pub(super) fn judge_weights<'s>(
    list: &Place<'_>,
    weights: impl ExactSizeIterator<Item = Option<&'s Spanned<i32>>>,
    judge: &mut Judge<'_, '_>,
) {
    let (several, mut nothing) = (weights.len() > 1, true);
    for (index, weight) in weights.enumerate() {
        let Some(weight) = weight.filter(|weight| weight.value != 0) else { continue };
        nothing = false;
        if weight.value < 0 {
            let message = format!("a weight of {} is less than nothing", weight.value);
            let help = "use 0 for a destination that takes nothing";
            judge.refuse(&OUT_OF_RANGE, &list.item(index).key("weight"), weight.span, message, help);
        }
    }
    if several && nothing {
        let message = "none of these destinations has a weight, so that there is no telling who takes how much";
        judge.refuse_at(&OUT_OF_RANGE, list, message, "give them weights, as 50 and 50");
    }
}
