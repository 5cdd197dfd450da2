"""The browser's way in: pages, WebSocket and files over HTTP."""
