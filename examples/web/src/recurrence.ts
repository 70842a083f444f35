// How a task repeats: the rules (RFC 5545) that the form offers, and any rule in words.

export const RULES = {
  "FREQ=DAILY": "Every day",
  "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR": "Every weekday",
  "FREQ=WEEKLY": "Every week",
  "FREQ=WEEKLY;INTERVAL=2": "Every 2 weeks",
  "FREQ=MONTHLY": "Every month",
  "FREQ=YEARLY": "Every year",
};

const UNITS: Record<string, string> = { DAILY: "day", WEEKLY: "week", MONTHLY: "month", YEARLY: "year" };
const DAYS: Record<string, string> = { MO: "Mon", TU: "Tue", WE: "Wed", TH: "Thu", FR: "Fri", SA: "Sat", SU: "Sun" };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const ORDINALS = ["first", "second", "third", "fourth", "fifth"];

/** "every week on Mon, Thu, 3 more times": all that the rule says. */
export function ruleInWords(rule: string) {
  const offered = RULES[rule as keyof typeof RULES];
  if (offered) return offered.toLowerCase();
  const parts = Object.fromEntries(rule.toUpperCase().split(";").map((part) => part.split("=") as [string, string]));
  const { FREQ = "", INTERVAL = "1", BYMONTH } = parts;
  const unit = UNITS[FREQ];
  if (!unit) return "repeats";
  const every = Number(INTERVAL) === 1 ? `every ${unit}` : `every ${Number(INTERVAL)} ${unit}s`;
  const months = BYMONTH && `in ${BYMONTH.split(",").map((month) => MONTHS[Number(month) - 1]).join(", ")}`;
  return [[every, shownOn(parts), months].filter(Boolean).join(" "), shownEnd(parts)].filter(Boolean).join(", ");
}

/** "on the last of Mon, Tue". Days that are both are the weekdays that have one of the numbers. */
function shownOn({ BYDAY, BYMONTHDAY, BYSETPOS }: Record<string, string>) {
  const days = [BYDAY && shownDays(BYDAY), BYMONTHDAY && shownMonthDays(BYMONTHDAY)].filter(Boolean).join(", if it is ");
  const places = BYSETPOS && `the ${BYSETPOS.split(",").map((place) => ordinal(Number(place))).join(" and ")} of `;
  return days && `on ${places ?? ""}${days}`;
}

/** `COUNT` is what is left, with the time that is due now; `UNTIL` the last day. */
function shownEnd({ COUNT, UNTIL }: Record<string, string>) {
  if (COUNT) return Number(COUNT) === 1 ? "for the last time" : `${Number(COUNT)} more times`;
  return UNTIL && `until ${MONTHS[Number(UNTIL.slice(4, 6)) - 1]} ${Number(UNTIL.slice(6, 8))}, ${UNTIL.slice(0, 4)}`;
}

/** Of 2, -1 and -2: "second", "last" and "second last". */
function ordinal(number: number): string {
  if (number < 0) return number === -1 ? "last" : `${ordinal(-number)} last`;
  const suffix = number % 100 > 10 && number % 100 < 14 ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
  return ORDINALS[number - 1] ?? `${number}${suffix}`;
}

function shownMonthDays(days: string) {
  const numbers = days.split(",").map(Number);
  const [counted, fromTheEnd] = [numbers.filter((day) => day > 0), numbers.filter((day) => day < 0)];
  const words = fromTheEnd.map((day) => `the ${ordinal(day)} day`);
  return [...(counted.length ? [`day ${counted.join(", ")}`] : []), ...words].join(", ");
}

function shownDays(days: string) {
  return days
    .split(",")
    .map((day) => {
      const [, number = "", name = ""] = /^([+-]?\d*)(\w\w)$/.exec(day) ?? [];
      const shown = DAYS[name] ?? day;
      return number ? `the ${ordinal(Number(number))} ${shown}` : shown;
    })
    .join(", ");
}
