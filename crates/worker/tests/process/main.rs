//! One job in a process of its own: crashes, hangs, memory, lies, and what a confined process cannot do.
//!
//! This executable is also the child, with faults that a job asks for by a name that no layer has, and a parent that
//! is killed. So no fault is in the product.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here fails a test, and says why")]

mod child;
mod confined;
mod crashes;
mod lies;
mod support;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// As in the product: what it takes of memory ahead is what the limit is about.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tests by their names.
macro_rules! trials {
    ($($module:ident::$name:ident),* $(,)?) => {
        vec![$(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            $module::$name();
            Ok(())
        })),*]
    };
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("worker") => return worker::process::serve(child::faulty),
        Some("liar") => return lies::liar(&arguments.next().unwrap_or_default()),
        Some("parent") => return crashes::parent(&arguments.next().unwrap_or_default()),
        _ => {}
    }
    let trials = trials![
        confined::a_job_gives_the_same_outcome_in_process_and_in_a_process_of_its_own,
        confined::the_child_says_what_is_in_force,
        confined::files_outside_those_of_the_job_cannot_be_opened,
        confined::a_symbolic_link_in_the_store_leads_nowhere,
        confined::there_is_no_network,
        confined::no_program_and_no_process_can_be_started,
        confined::nothing_of_the_machine_can_be_changed,
        confined::a_disk_that_needs_the_converter_gets_it_and_nothing_else,
        crashes::a_panic_is_the_same_failure_as_in_process,
        crashes::an_abort_names_the_signal_the_step_and_the_last_words,
        crashes::a_stack_overflow_is_a_crash,
        crashes::an_exit_without_an_answer_is_a_crash,
        crashes::a_kill_from_outside_is_lack_of_memory,
        crashes::an_allocation_beyond_the_limit_is_lack_of_memory,
        crashes::memory_up_to_the_limit_can_be_used,
        crashes::silence_is_a_hang,
        crashes::reading_for_long_is_no_hang,
        crashes::what_the_engine_prints_is_no_answer,
        crashes::progress_comes_through_and_is_complete,
        crashes::cancelling_kills_the_child_and_removes_what_it_had_not_finished,
        crashes::cancelling_kills_the_converter_too,
        crashes::a_child_does_not_outlive_its_parent,
        crashes::a_converter_does_not_outlive_the_parent_of_its_parent,
        crashes::an_answer_that_is_too_long_is_refused_by_the_child,
        lies::a_program_that_is_not_there_is_said,
        lies::a_child_that_dies_before_hello_cannot_be_started,
        lies::garbage_is_not_understood,
        lies::a_line_without_an_end_is_read_to_the_limit,
        lies::another_version_of_the_protocol_is_not_understood,
        lies::the_answer_to_another_question_is_no_answer,
        lies::closing_the_output_and_going_on_is_no_answer,
        lies::a_failure_without_a_code_is_no_answer,
        lies::a_child_that_never_says_hello_hangs,
        lies::an_order_that_is_not_read_holds_nothing_up,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
