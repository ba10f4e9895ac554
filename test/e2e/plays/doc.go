// Package plays plays the user's page, and what goes wrong around it, on a real
// control plane: every play applies objects as a user would and looks at what
// the API server says of them. docs/E2E.md says what is real and what stands in.
package plays
