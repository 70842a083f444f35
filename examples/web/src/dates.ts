// What a due date means here and now, in words. A due date is a day ("2026-12-24") or a moment with its offset.

const DAY_MS = 86_400_000;
/** The page is in English: a reader's own way to write dates is taken where it is an English one. */
const LOCALE = globalThis.navigator?.language.startsWith("en") ? navigator.language : "en";

export const TIME_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The local day of a date, as `2026-12-24`. */
export function dayOf(date: Date) {
  const [month, day] = [date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${date.getFullYear()}-${month}-${day}`;
}

/** The local day and time of a due date; the time of a day is empty. */
export function localParts(due: string) {
  if (!due.includes("T")) return { day: due, time: "" };
  const moment = new Date(due);
  return { day: dayOf(moment), time: moment.toTimeString().slice(0, 5) };
}

/** A due date of a local day and time (`18:00`, or nothing), with the offset that is in force here then. */
export function dueDate(day: string, time: string) {
  if (!day || !time) return day || null;
  const minutes = -new Date(`${day}T${time}`).getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((n) => String(n).padStart(2, "0"));
  return `${day}T${time}:00${minutes < 0 ? "-" : "+"}${hours}:${rest}`;
}

/** A day is over when it has ended here. */
export function isOver(due: string, now: Date) {
  return due.includes("T") ? new Date(due) <= now : due < dayOf(now);
}

/** "today", "Friday", "May 17", or "May 17, 2031"; with the time where there is one. */
export function shownDue(due: string, now: Date) {
  const { day, time } = localParts(due);
  const shown = shownDay(day, now);
  return time ? `${shown}, ${new Intl.DateTimeFormat(LOCALE, { timeStyle: "short" }).format(new Date(due))}` : shown;
}

/** For the middle of a sentence, such as "Next on Friday". */
export function onDay(due: string, now: Date) {
  const shown = shownDue(due, now);
  return /^(today|tomorrow|yesterday|\d+ days ago)/.test(shown) ? shown : `on ${shown}`;
}

function shownDay(day: string, now: Date) {
  const date = new Date(`${day}T00:00`);
  const days = Math.round((date.getTime() - new Date(`${dayOf(now)}T00:00`).getTime()) / DAY_MS);
  if (days >= -1 && days <= 1) return ["yesterday", "today", "tomorrow"][days + 1]!;
  if (days < 0 && days > -7) return `${-days} days ago`;
  if (days > 0 && days < 7) return new Intl.DateTimeFormat(LOCALE, { weekday: "long" }).format(date);
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return new Intl.DateTimeFormat(LOCALE, { month: "short", day: "numeric", year }).format(date);
}
