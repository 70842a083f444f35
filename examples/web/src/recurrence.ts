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
const ORDINALS: Record<string, string> = { "1": "first", "2": "second", "3": "third", "4": "fourth", "-1": "last" };

/** "every week on Mon, Thu". What has no words here is left out, so that it is never wrong. */
export function ruleInWords(rule: string) {
  const offered = RULES[rule as keyof typeof RULES];
  if (offered) return offered.toLowerCase();
  const parts = Object.fromEntries(rule.split(";").map((part) => part.split("=") as [string, string]));
  const { FREQ = "", INTERVAL = "1", BYDAY, BYMONTHDAY, COUNT } = parts;
  const unit = UNITS[FREQ];
  if (!unit) return "repeats";
  const every = INTERVAL === "1" ? `every ${unit}` : `every ${INTERVAL} ${unit}s`;
  const days = BYDAY && shownDays(BYDAY);
  const monthDays = BYMONTHDAY && (BYMONTHDAY === "-1" ? "the last day" : `day ${BYMONTHDAY.replaceAll(",", ", ")}`);
  const on = [days, monthDays].filter(Boolean).join(", ");
  return [every, on && `on ${on}`, COUNT && `${COUNT} more times`].filter(Boolean).join(" ");
}

function shownDays(days: string) {
  return days
    .split(",")
    .map((day) => {
      const [, number = "", name = ""] = /^([+-]?\d*)(\w\w)$/.exec(day) ?? [];
      const shown = DAYS[name] ?? day;
      return number ? `the ${ORDINALS[String(Number(number))] ?? `${number}th`} ${shown}` : shown;
    })
    .join(", ");
}
