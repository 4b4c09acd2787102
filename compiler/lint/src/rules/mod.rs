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
    credential_missing
    credential_unusable
    certificate_host_mismatch
    tls_setting_ignored
    weak_tls_version
    cipher_suite_unknown
    claims_unchecked
    mtls_conflict
    upstream_name_unchecked
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
    failover_without_outlier_detection
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
    gateway_selects_nothing
    gateway_port_unserved
    sni_host_is_address
    gateway_internal
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
    deprecated_field
    unused_suppression
    export_to_unknown
    old_api_version
    empty_selector
    large_direct_response
    egress_host_covered
    pool_setting_ignored
    prefix_without_boundary
    rewrite_double_slash
    rewrite_multi_prefix
    regex_not_anchored_intent
    regex_dialect
    regex_matches_query
    regex_is_literal
    regex_unescaped_dot
    prefix_open_ended
    rule_shadowed
    match_ineffective
    rule_partially_shadowed_differently
    match_empty
    unmatched_requests
    rule_after_catch_all
    rule_needs_repeated_header
    reachability_unknown
    rule_kind_unused
    se_host_port_conflict
    se_split_ports
    se_tcp_no_address
    se_exported_everywhere
    se_http_vs_on_tls_port
    se_wildcard_dns
    se_partial_wildcard
    se_selector_without_resolution
    workload_address_missing
    retry_budget_exceeds_timeout
    pertry_caps_request
    retry_non_idempotent
    implicit_retries
    fault_disables_retry
    left_over_fault
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
