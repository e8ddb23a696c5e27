//! The tests that every database behind [`Store`](crate::Store) must pass. A backend's test file makes an empty store
//! and hands it to [`contract_tests!`](crate::contract_tests!), which makes one test of each.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's name says what holds; a test may panic"
)]

pub mod api;
pub mod commits;
pub mod dashboards;
pub mod dsns;
pub mod fixtures;
pub mod postgres;
pub mod tokens;
pub mod upkeep;

/// Makes a test of each function of the suite. `$store` is an expression that gives something that dereferences to a
/// [`Store`](crate::Store) and lives as long as the test.
#[macro_export]
macro_rules! contract_tests {
    ($store:expr) => {
        $crate::contract_tests!($store, commits:
            a_group_writes_the_rows_of_all_its_batches,
            a_batch_folded_from_elsewhere_is_left_out_and_the_others_go_through,
            a_batch_that_knows_nothing_of_a_decision_is_left_out,
            a_group_that_fails_leaves_nothing_behind,
            what_two_batches_say_of_a_tool_call_comes_together_in_either_order,
            a_shrunken_plan_loses_its_last_todos_and_keeps_the_others_times,
            texts_grow_part_by_part_and_tell_where_they_end,
            an_unknown_command_gets_its_row_with_its_first_events,
            each_kind_of_statement_is_timed_once_with_its_rows,
            the_full_state_is_written_only_while_the_build_stands_as_it_was_read,
        );
        $crate::contract_tests!($store, api:
            a_slug_is_taken_once,
            a_project_has_one_running_build_at_a_time,
            a_deleted_project_takes_everything_with_it,
            a_project_changes_where_the_change_says_so,
            builds_are_listed_newest_first_page_by_page,
            a_list_shows_how_far_each_build_has_come,
            a_build_is_found_by_each_of_its_names,
            a_command_only_moves_forward,
            rows_are_read_in_pages_that_leave_nothing_out,
            a_tool_call_is_read_by_its_id_within_its_build,
            a_whole_build_has_the_newest_of_what_does_not_fit,
            only_builds_whose_runner_is_gone_are_silent,
            a_build_that_its_runners_new_process_says_nothing_of_is_silent,
            a_build_whose_runner_was_there_for_it_alone_is_silent_soon_after_it,
            a_runner_of_one_build_is_forgotten_after_it,
            linked_runners_are_those_of_brokers_that_are_heard_of,
            what_is_known_of_a_runner_stays_until_something_newer_is_said,
        );
        $crate::contract_tests!($store, upkeep:
            a_repair_writes_what_it_names_and_nothing_else,
            a_repair_that_the_log_has_overtaken_changes_nothing,
            a_log_is_old_once_nothing_was_received_or_decided_for_long,
            a_log_goes_page_by_page_and_leaves_all_else,
            a_log_that_is_not_old_any_more_stays,
        );
        $crate::contract_tests!($store, tokens:
            a_token_is_live_by_its_own_hash_until_it_is_revoked,
            a_revoked_token_stays_revoked_since_it_first_was,
            the_last_use_of_a_token_only_moves_forward,
            a_hash_is_one_tokens_alone,
            tokens_are_listed_newest_first_with_the_revoked_ones,
        );
        $crate::contract_tests!($store, dsns:
            dsns_are_numbered_and_listed_with_the_revoked_ones,
            a_revoked_dsn_stays_revoked_since_it_first_was,
            a_key_is_one_dsns_alone,
        );
        $crate::contract_tests!($store, dashboards:
            dashboards_are_saved_by_whoever_has_read_their_last_version,
            of_those_who_save_dashboards_at_once_one_does,
        );
    };
    ($store:expr, $module:ident: $($test:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let store = $store;
                $crate::contract_tests::$module::$test(&*store).await;
            }
        )+
    };
}
