# For whoever logs in: where jobs are put, and what they left.
export RUNNER_DIRECTORY=/var/lib/runner
alias jobs-done='ls -lt "$RUNNER_DIRECTORY/done"'
