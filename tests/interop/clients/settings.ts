// What the tests tell a script, and where it writes what it found.
declare const process: { env: Record<string, string>; stdout: { write(text: string): void } };

export const baseUrl = process.env.BASE_URL!;
export const token = process.env.TOKEN!;
export const user_id = process.env.USER_ID!;

export function report(found: Record<string, unknown>) {
  process.stdout.write(JSON.stringify(found));
}
