// Package inspectv1 is the contract by which people and tools ask the scaler
// why it did, or did not, scale: what it knows of each ScaledObject, and how its
// answers come about. All but this comment is generated from inspect.proto by
// make generate. It holds no code of its own.
package inspectv1
