// src/dates.ts, src/recurrence.ts, src/reminders.ts and src/groups.ts: what a person reads, at one moment, in one place.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

process.env.TZ = "America/New_York";
const { dueDate, isOver, localParts, onDay, shownDue } = (await runnerImport("./src/dates.ts")).module;
const { RULES, ruleInWords } = (await runnerImport("./src/recurrence.ts")).module;
const { KEEP, REMINDERS, choiceOf, needDueDate, remindersOf } = (await runnerImport("./src/reminders.ts")).module;
const { grouped } = (await runnerImport("./src/groups.ts")).module;

const NOW = new Date("2026-11-28T15:00:00-05:00"); // a Saturday

for (const [due, shown, on] of [
  ["2026-11-28", "today", "today"],
  ["2026-11-29", "tomorrow", "tomorrow"],
  ["2026-11-27", "yesterday", "yesterday"],
  ["2026-11-22", "6 days ago", "6 days ago"],
  ["2026-11-21", "Nov 21", "on Nov 21"],
  ["2026-12-04", "Friday", "on Friday"],
  ["2026-12-05", "Dec 5", "on Dec 5"],
  ["2027-01-05", "Jan 5, 2027", "on Jan 5, 2027"],
  ["2026-11-29T01:00:00Z", "today, 8:00 PM", "today, 8:00 PM"],
  ["2026-12-04T18:30:00+01:00", "Friday, 12:30 PM", "on Friday, 12:30 PM"],
])
  test(`${due} is said as "${shown}"`, () => {
    assert.equal(shownDue(due, NOW).replaceAll("\u202f", " "), shown);
    assert.equal(onDay(due, NOW).replaceAll("\u202f", " "), on);
  });

for (const [day, time, due] of [
  ["", "", null],
  ["2026-07-01", "", "2026-07-01"],
  ["2026-07-01", "09:05", "2026-07-01T09:05:00-04:00"],
  ["2026-12-01", "09:05", "2026-12-01T09:05:00-05:00"],
])
  test(`${day} ${time} is sent as ${due}, and read again`, () => {
    assert.equal(dueDate(day, time), due);
    if (due) assert.deepEqual(localParts(due), { day, time });
  });

test("a day is over when it has ended here, a moment when it has come", () => {
  const over = ["2026-11-27", "2026-11-28", "2026-11-28T20:00:00Z", "2026-11-28T20:01:00Z"].map((due) => isOver(due, NOW));
  assert.deepEqual(over, [true, false, true, false]);
});

for (const [rule, words] of [
  ["FREQ=DAILY", "every day"],
  ["FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "every weekday"],
  ["FREQ=WEEKLY;BYDAY=MO,TH", "every week on Mon, Thu"],
  ["FREQ=DAILY;INTERVAL=3;COUNT=4", "every 3 days, 4 more times"],
  ["FREQ=WEEKLY;COUNT=1", "every week, for the last time"],
  ["freq=weekly;interval=01;until=20270105T090000Z", "every week, until Jan 5, 2027"],
  ["FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,-2", "every month on the first and second last of Mon, Tue"],
  ["FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "every month on Fri, if it is day 13"],
  ["FREQ=MONTHLY;BYMONTHDAY=1,-2", "every month on day 1, the second last day"],
  ["FREQ=YEARLY;BYMONTH=6,12;BYMONTHDAY=24", "every year on day 24 in Jun, Dec"],
  ["FREQ=YEARLY;BYDAY=21MO,-13TU", "every year on the 21st Mon, the 13th last Tue"],
  ["FREQ=MONTHLY;BYMONTHDAY=-1", "every month on the last day"],
  ["FREQ=MONTHLY;BYMONTHDAY=1,15", "every month on day 1, 15"],
  ["FREQ=MONTHLY;BYDAY=-1FR", "every month on the last Fri"],
  ["FREQ=MONTHLY;BYDAY=+2TU", "every month on the second Tue"],
  ["nonsense", "repeats"],
])
  test(`${rule} is said as "${words}"`, () => assert.equal(ruleInWords(rule), words));

test("every rule that is offered has its words", () => {
  assert.deepEqual(Object.keys(RULES).map(ruleInWords), Object.values(RULES).map((words) => words.toLowerCase()));
});

for (const [reminders, choice, needDue] of [
  [[], "", false],
  ...Object.keys(REMINDERS).map((reminder) => [[reminder], reminder, true]),
  [["-PT30M"], KEEP, true],
  [["PT9H"], KEEP, true],
  [["-PT10M", "-P1D"], KEEP, true],
  [["2026-12-24T09:00:00+01:00"], KEEP, false],
])
  test(`the reminders ${JSON.stringify(reminders)} stay as they are in a form that nobody touches`, () => {
    assert.equal(choiceOf(reminders), choice);
    assert.deepEqual(remindersOf(choice, reminders), reminders);
    assert.equal(needDueDate(reminders), needDue);
  });

test("another choice takes the place of all reminders", () => {
  assert.deepEqual(["", "-PT1H"].map((choice) => remindersOf(choice, ["-PT30M", "-P1D"])), [[], ["-PT1H"]]);
});

// As the server has it for what was never moved: the newest first.
const unmoved = (id) => `Z${9 - id}`;
const task = (id, members) => {
  const empty = { title: `Task ${id}`, description: null, completed: false, tags: [], list_id: null, position: unmoved(id) };
  return { id, ...empty, ...members };
};
/** The groups that are not empty, as ids; a subtask is in the list of its task. */
function ids(tasks, filter = {}) {
  const groups = [...grouped(tasks, filter, NOW)].filter(([, entries]) => entries.length);
  const shown = ({ task, subtasks }) => (subtasks.length ? [task.id, ...subtasks.map(({ id }) => id)] : task.id);
  return Object.fromEntries(groups.map(([name, entries]) => [name, entries.map(shown)]));
}

test("each task is in one group, the soonest first, and the newest where nothing else decides", () => {
  const tasks = [
    task(9),
    task(8),
    task(7, { due_date: "2026-12-04" }),
    task(6, { due_date: "2026-12-01" }),
    task(5, { due_date: "2026-11-28" }),
    task(4, { due_date: "2026-11-28T16:00:00-05:00" }),
    task(3, { due_date: "2026-11-28T14:00:00-05:00" }),
    task(2, { completed: true, completed_at: "2026-11-01T00:00:00Z" }),
    task(1, { completed: true, completed_at: "2026-11-02T00:00:00Z", due_date: "2026-01-01" }),
  ];
  assert.deepEqual(ids(tasks), { Overdue: [3], Today: [4, 5], Next: [6, 7], "No date": [9, 8], Done: [1, 2] });
});

test("what cannot be begun yet is next, on the day when it can", () => {
  const tasks = [task(3, { start_date: "2026-11-30" }), task(2, { due_date: "2026-12-01" }), task(1, { start_date: "2026-11-28" })];
  assert.deepEqual(ids(tasks), { Next: [3, 2], "No date": [1] });
});

test("a task stands where the first of its open subtasks is due", () => {
  const subtask = task(3, { parent_id: 1, due_date: "2026-11-28" });
  const tasks = [subtask, task(2, { parent_id: 1 }), task(1, { due_date: "2026-12-01" })];
  assert.deepEqual(ids(tasks), { Today: [[1, 3, 2]] });
  assert.deepEqual(ids([{ ...subtask, completed: true }, ...tasks.slice(1)]), { Next: [[1, 3, 2]] });
});

test("what matches is found in titles, descriptions and tags, also in a subtask", () => {
  const tasks = [task(3, { tags: ["Home"] }), task(2, { parent_id: 1, description: "A cake" }), task(1)];
  assert.deepEqual(ids(tasks, { q: "CAKE" }), { "No date": [[1, 2]] });
  assert.deepEqual(ids(tasks, { tag: "home" }), { "No date": [3] });
  assert.deepEqual(ids(tasks, { tag: "home", q: "cake" }), {});
});

test("a person's order decides among what is due at the same time, before the server has answered, too", () => {
  const [first, second] = [task(3, { position: "Nz" }), task(1, { position: "N0", due_date: "2026-11-28" })];
  assert.deepEqual(ids([task(4), first, task(2), second]), { Today: [1], "No date": [3, 4, 2] });
  assert.deepEqual(ids([task(4, { after: 2 }), first, task(2), second]), { Today: [1], "No date": [3, 2, 4] });
  assert.deepEqual(ids([task(4), first, task(2, { after: null }), second]), { Today: [1], "No date": [2, 3, 4] });
  assert.deepEqual(ids([task(6, { after: 5 }), task(5, { after: 2 }), task(2)]), { "No date": [2, 5, 6] });
});

test("a view has the tasks of one list, with their subtasks", () => {
  const tasks = [task(4, { list_id: 7, parent_id: 3 }), task(3, { list_id: 7 }), task(2, { list_id: 8 }), task(1)];
  assert.deepEqual(ids(tasks, { view: 7 }), { "No date": [[3, 4]] });
  assert.deepEqual(ids(tasks, { view: "inbox" }), { "No date": [1] });
  assert.deepEqual(ids(tasks), { "No date": [[3, 4], 2, 1] });
});
