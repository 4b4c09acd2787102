//! Conditions on who asks, and where: the client's labels, the gateways, the port and the addresses of the listener.

use super::{Judge, Place};
use crate::{
    Entries, Spanned,
    read::shorten,
    rules::INVALID_TEXT,
    webhook::{addresses::subnet_problem, labels::check_labels, ports::check_port_number},
};
use smol_str::SmolStr;

/// What the conditions of all three kinds of rules can ask of a client and a listener.
pub(super) struct Client<'s> {
    pub(super) labels: &'s Entries<SmolStr>,
    pub(super) gateways: &'s [Spanned<SmolStr>],
    pub(super) port: Option<&'s Spanned<u32>>,
    pub(super) subnets: &'s [Spanned<SmolStr>],
}

impl Client<'_> {
    /// Judges the conditions of the match at `place`.
    pub(super) fn judge(&self, place: &Place<'_>, judge: &mut Judge<'_, '_>) {
        check_labels(self.labels, format_args!("{}", place.key("sourceLabels")), judge);
        judge.gateways(&place.key("gateways"), self.gateways);
        // A port of zero is none.
        let port = self.port.filter(|port| port.value != 0);
        check_port_number(port, format_args!("{}", place.key("port")), judge);
        let is_wrong = |subnet: &str| subnet_problem(subnet).is_some();
        for (index, subnet) in self.subnets.iter().enumerate().filter(|(_, subnet)| is_wrong(subnet)) {
            let message = format!("\"{}\" is neither an IP address nor a range of them", shorten(subnet));
            let help = "write an address, or a range as `10.0.0.0/8`";
            judge.refuse(&INVALID_TEXT, &place.key("destinationSubnets").item(index), subnet.span, message, help);
        }
    }
}
