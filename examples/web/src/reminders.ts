// When a task reminds: the durations before its due date (RFC 5545) that the form offers, and any others.

export const REMINDERS: Record<string, string> = {
  PT0S: "At the time",
  "-PT10M": "10 minutes before",
  "-PT1H": "1 hour before",
  "-P1D": "1 day before",
};

/** The choice that leaves reminders as they are which the form does not offer. */
export const KEEP = "keep";

/** What of the form's choices these reminders are; empty for none. */
export function choiceOf(reminders: string[]) {
  const [first = "", ...others] = reminders;
  return others.length || (first && !(first in REMINDERS)) ? KEEP : first;
}

/** The reminders of a choice, for a task that had these before. */
export function remindersOf(choice: string, before: string[]) {
  if (choice === KEEP) return before;
  return choice ? [choice] : [];
}

/** Whether one of them counts from the due date, which the task then needs. */
export function needDueDate(reminders: string[]) {
  return reminders.some((reminder) => /^[+-]?P/.test(reminder));
}
