// Package admission evaluates the chart's ValidatingAdmissionPolicy in the API
// server's own CEL environment.
//
// It is a module of its own for that environment's dependencies.
package admission
