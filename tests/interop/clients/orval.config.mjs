export default {
  tasks: {
    input: "./docs/openapi.json",
    output: {
      target: "./client/orval.ts",
      client: "fetch",
      urlEncodeParameters: true,
      override: { mutator: { path: "./orval_fetch.ts", name: "orvalFetch" } },
    },
  },
};
