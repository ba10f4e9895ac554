// Package check says what is wrong with ScaledObjects, ScaledJobs and
// InferenceServices before a cluster does: of what they ask us, with the parsers
// that answer KEDA; of what KEDA and KServe would refuse or read otherwise than
// it was meant, as far as our triggers depend on it.
//
// An InferenceService is judged by what KServe makes of it (package kserve), and
// each fault is told where the InferenceService has it. No cluster is asked.
package check
