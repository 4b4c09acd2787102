//! The rules, one file each.

use crate::Rule;

/// Registers rules: one line each, in the order of their codes.
macro_rules! rules {
    ($($module:ident)*) => {
        $(mod $module;)*

        /// Every rule, by code.
        pub static RULES: &[&Rule] = &[$(&$module::RULE),*];
    };
}

rules! {
    subset_undefined
    dr_host_conflict
    dr_exportto_merge
    odd_weights
    destination_port_required
    mirror_surprise
    mesh_rules_bypassed
    delegate_conflict
    delegate_unused
    destination_host_unknown
    destination_port_unknown
    dr_host_unknown
    subset_selects_nothing
    subset_without_labels
    destination_repeated
    destination_host_hidden
    mesh_host_taken
    merge_order_dependent
    merge_two_catch_alls
    host_hides_wildcard
    host_not_in_gateway
    gateways_without_mesh
    gateway_missing
    gateway_name_ambiguous
    short_host_name
    gateway_server_conflict
    shared_cert_coalescing
    host_with_port
    duplicate_host_in_vs
    listener_rejected
    control_plane_panic
    sni_taken
    sidecar_several_defaults
    sidecar_overlap
    sidecar_host_unknown
    sidecar_root_selector
    sidecar_selects_nothing
    unknown_field
    missing_field
    wrong_type
    unknown_enum_value
    out_of_range
    exclusive_fields
    invalid_duration
    invalid_text
    invalid_name
    unknown_api_version
    unknown_kind
    duplicate_item
    invalid_regex
    duplicate_object
    unused_suppression
    export_to_unknown
    rule_shadowed
    match_ineffective
    rule_partially_shadowed_differently
    match_empty
    unmatched_requests
    rule_after_catch_all
    rule_needs_repeated_header
    reachability_unknown
    se_host_port_conflict
    se_split_ports
    se_tcp_no_address
    se_exported_everywhere
    se_http_vs_on_tls_port
    se_wildcard_dns
    syntax_error
    duplicate_key
    tab_indentation
    invalid_encoding
    unquoted_wildcard
    alias_limit
    too_deep
    too_large
    merge_key_override
    unknown_anchor
    bad_indentation
    not_json
    lost_text
}
