// Package scaler answers KEDA's external scaler contract
// (github.com/kedacore/keda/v2/pkg/scalers/externalscaler, v2.21): it reads a
// trigger's metadata, asks package query for the number, and decides what to
// say when there is none.
//
// An error is how the contract says "hold": neither KEDA nor the HPA scales on
// it. A zero is how a busy model gets killed, so it is said only when the
// absence of data is understood (see decide).
//
// The package never sees the store, and never blocks an RPC on data to come.
package scaler
