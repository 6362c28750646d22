-- Drops the source tables and all usage in them.
drop table public.task_usage, public.agent_task_queue, public.issue, public.project, public.agent, public.agent_runtime, public.workspace;
