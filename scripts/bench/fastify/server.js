// The same API on Fastify and pg, on a plain table: named prepared statements (PREPARE=off: none, for a transaction
// pooler), and a user's rows found by the condition that each statement has.
import pg from 'pg'
import { serve } from './app.js'

const { PREPARE } = process.env
const pool = new pg.Pool({ max: 10 }) // PGHOST, PGUSER, PGDATABASE say where

const columns = `user_id, id, title, description, completed, timezone('UTC', completed_at) AS completed_at, priority,
  due_date, time_zone, recurrence, recurrence_from, tags, reminders, timezone('UTC', remind_at) AS remind_at,
  parent_id, start_date, list_id, position, revision,
  timezone('UTC', created_at) AS created_at, timezone('UTC', updated_at) AS updated_at`
const statements = {
  list: `SELECT ${columns} FROM tasks WHERE user_id = $1 ORDER BY id DESC LIMIT $2`,
  get: `SELECT ${columns} FROM tasks WHERE user_id = $1 AND id = $2`,
  create: `INSERT INTO tasks (user_id, title, description, completed, completed_at, priority, due_date, tags)
    VALUES ($1, $2, $3, $4, CASE WHEN $4 THEN now() END, $5, $6, $7) RETURNING ${columns}`,
  update: `UPDATE tasks SET title = $3, description = $4, priority = $5, due_date = $6, tags = $7,
    revision = revision + 1, updated_at = now() WHERE user_id = $1 AND id = $2 RETURNING ${columns}`,
  toggle: `UPDATE tasks SET completed = NOT completed, completed_at = CASE WHEN NOT completed THEN now() END,
    revision = revision + 1, updated_at = now() WHERE user_id = $1 AND id = $2 RETURNING ${columns}`
}

async function run (name, values) {
  const query = { text: statements[name], values }
  if (PREPARE !== 'off') query.name = name
  return (await pool.query(query)).rows
}

await serve(run)
