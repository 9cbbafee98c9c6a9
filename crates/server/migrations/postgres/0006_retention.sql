-- Finding tasks that have ended long ago.

CREATE INDEX tasks_ended ON tasks (ended_at);
