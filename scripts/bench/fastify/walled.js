// The same API on Fastify and pg with the project's promises: its migrated tables, its role and row security, and its
// revision counter. It knows no tasks that repeat, are moved or remind, and no subtasks.
//
// Of the ways to run a statement in a transaction with a role and a user, this is the quickest that node-postgres has: one
// message of the simple protocol that sets both and executes what the connection has prepared (PREPARE). Others tried:
// BEGIN, set_config, the named statement and COMMIT one after the other, the same as a pipeline, and the statement in full.
import pg from 'pg'
import { serve } from './app.js'

const { ROLE } = process.env
const MAX_TASKS = 100000

const shown = `user_id, id, title, description, completed, timezone('UTC', completed_at) AS completed_at, priority,
  due_date, time_zone, recurrence, after_completion, on_schedule, tags, reminders, parent_id, start_date, list_id, position, revision,
  timezone('UTC', created_at) AS created_at, timezone('UTC', updated_at) AS updated_at`
// Counts a change of the task $2, if it is there, and gives it its revision.
const counted = `WITH counted AS (
    UPDATE public.task_lists SET revision = revision + 1, horizon = coalesce(horizon, revision)
    WHERE user_id = $1 AND EXISTS (SELECT id FROM public.tasks WHERE user_id = $1 AND id = $2)
    RETURNING revision AS counted_revision)`
const changed = 'revision = counted_revision, updated_at = now() FROM counted WHERE user_id = $1 AND id = $2'
const statements = {
  list: {
    types: ['text', 'bigint'],
    text: `SELECT ${shown} FROM public.tasks WHERE user_id = $1 ORDER BY id DESC LIMIT $2`
  },
  get: {
    types: ['text', 'bigint'],
    text: `SELECT ${shown} FROM public.tasks WHERE user_id = $1 AND id = $2`
  },
  create: {
    types: ['text', 'bigint', 'text', 'text', 'text', 'text', 'boolean', 'smallint', 'text', 'timestamptz', 'text[]', 'text[]'],
    text: `WITH numbered AS (
        INSERT INTO public.task_lists AS list (user_id, last_task_id, task_count, revision, horizon, trash_count,
          tombstone_count, key_count, key_bytes)
        VALUES ($1, 1, 1, $2, $2, 0, 0, 0, 0)
        ON CONFLICT (user_id) DO UPDATE SET last_task_id = list.last_task_id + 1, task_count = list.task_count + 1,
          revision = list.revision + 1, horizon = coalesce(list.horizon, list.revision)
        WHERE list.task_count < ${MAX_TASKS} RETURNING last_task_id, revision)
      INSERT INTO public.tasks (user_id, id, revision, completed_at, title, title_key, description, description_key,
        completed, priority, due_date, due_at, tags, tag_keys)
      SELECT $1, last_task_id, revision, CASE WHEN $7 THEN now() END, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
      FROM numbered RETURNING ${shown}`
  },
  update: {
    types: ['text', 'bigint', 'text', 'text', 'text', 'text', 'smallint', 'text', 'timestamptz', 'text[]', 'text[]'],
    text: `${counted} UPDATE public.tasks SET title = $3, title_key = $4, description = $5, description_key = $6,
      priority = $7, due_date = $8, due_at = $9, tags = $10, tag_keys = $11, time_zone = NULL, parent_id = NULL,
      ${changed} RETURNING ${shown}`
  },
  toggle: {
    types: ['text', 'bigint'],
    text: `${counted} UPDATE public.tasks SET completed = NOT completed,
      completed_at = CASE WHEN NOT completed THEN now() END, ${changed} RETURNING ${shown}`
  }
}

const priorities = [null, 'low', 'medium', 'high']
const key = (text) => text === null ? null : text.normalize('NFKD').toLowerCase()
const endOf = (day) => day === null ? 'infinity' : day.length === 10 ? `${day} 23:59:59.999999Z` : day
// What the statements take for what the routes bring.
const columnsOf = {
  list: (values) => values,
  get: (values) => values,
  toggle: (values) => values,
  create: ([user, title, description, completed, priority, due, tags]) =>
    [user, Date.now(), title, key(title), description, key(description), completed, priorities.indexOf(priority), due,
      endOf(due), tags, tags.map(key)],
  update: ([user, id, title, description, priority, due, tags]) =>
    [user, id, title, key(title), description, key(description), priorities.indexOf(priority), due, endOf(due), tags,
      tags.map(key)]
}
function taskOf ({ after_completion: afterCompletion, on_schedule: onSchedule, ...task }) {
  const from = onSchedule ? 'schedule' : afterCompletion ? 'completion' : 'due_date'
  return {
    ...task,
    priority: priorities[task.priority],
    recurrence_from: task.recurrence === null ? null : from,
    reminders: task.reminders ?? [],
    remind_at: null
  }
}

const arrayItem = (text) => `"${text.replace(/["\\]/g, '\\$&')}"`
function literal (value) {
  if (value === null) return 'NULL'
  if (Array.isArray(value)) return pg.escapeLiteral(`{${value.map(arrayItem).join()}}`)
  return typeof value === 'string' ? pg.escapeLiteral(value) : String(value)
}

const role = pg.escapeIdentifier(ROLE)
const preparations = Object.entries(statements).map(([name, { types, text }]) =>
  `PREPARE "${name}" (${types.join()}) AS ${text}`)
const pool = new pg.Pool({ max: 10, statement_timeout: 5000 }) // PGHOST, PGUSER, PGDATABASE say where
// Prepared as the role, in one transaction, and before the first statement of a request: a client queues its queries.
pool.on('connect', (client) => client.query(`SET LOCAL ROLE ${role}; ${preparations.join('; ')}`))

async function run (name, values) {
  const columns = columnsOf[name](values)
  const [, , { rows }] = await pool.query(`SET LOCAL ROLE ${role}; SET LOCAL app.user_id = ${literal(values[0])}; ` +
    `EXECUTE "${name}" (${columns.map(literal).join()})`)
  return rows.map(taskOf)
}

await serve(run)
