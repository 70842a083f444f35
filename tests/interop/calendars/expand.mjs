// Reads [{ start, rule }] from standard input, writes the first occurrences of each: wall times without a zone.
import { readFileSync } from "node:fs";
import rrule from "rrule";

const OCCURRENCES = 21;
const cases = JSON.parse(readFileSync(0, "utf8"));
const found = cases.map(({ start, rule }) =>
  rrule
    .rrulestr(`DTSTART:${start}Z\nRRULE:${rule}`)
    .all((_, number) => number < OCCURRENCES)
    .map((moment) => moment.toISOString().slice(0, 19)),
);
process.stdout.write(JSON.stringify(found));
