// Package manifest reads Kubernetes objects as people and Helm write them: files
// of many YAML or JSON documents, Lists among them. It keeps where in the
// file everything stands, down to a character of a query in a block scalar.
//
// It knows no kind of object, and never decodes into Go types: aliases are
// followed one at a time and counted, so that a file of a few kilobytes can't
// become gigabytes.
package manifest
