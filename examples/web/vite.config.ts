import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` beside a running ./scripts/demo.sh: the page from source, Better Auth and the API from there.
export default defineConfig({
  plugins: [react()],
  server: {
    proxy: {
      "/api/auth": { target: "http://localhost:3000", changeOrigin: true, headers: { origin: "http://localhost:3000" } },
      "/api": { target: "http://localhost:8000", changeOrigin: true },
    },
  },
});
