// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package computefake

import (
	"fmt"
	"net/http"

	"google.golang.org/api/compute/v1"
)

// operation is work that takes some time.
type operation struct {
	path, name, verb, target string

	left int // steps
	do   func() string
	undo func()
	code string
}

// start an operation. What it does tells by a code that it failed; then it is undone. A fault of the call decides how it ends.
func (s *Server) start(c call, verb, target string, do func() string, undo func()) *operation {
	s.counter++
	c.name = fmt.Sprintf("operation-%d", s.counter)
	op := &operation{path: c.path("operations"), name: c.name, verb: verb, target: s.link(target), left: max(s.steps, 1), do: do, undo: undo}
	if c.fault != nil && c.fault.Operation != "" {
		op.do = func() string { return c.fault.Operation }
	}
	s.operations[op.path] = op
	if s.steps == 0 {
		op.step()
	}
	return op
}

// step brings every running operation one step on.
func (s *Server) step() {
	for _, op := range s.operations {
		op.step()
	}
}

func (op *operation) step() {
	if op.left == 0 {
		return
	}
	if op.left--; op.left > 0 {
		return
	}
	if op.code = op.do(); op.code != "" {
		op.undo()
	}
}

func (op *operation) view() *compute.Operation {
	v := &compute.Operation{
		Kind: "compute#operation", Name: op.name, OperationType: op.verb, TargetLink: op.target, Status: "RUNNING", Progress: 50,
	}
	if op.left > 0 {
		return v
	}
	v.Status, v.Progress = "DONE", 100
	if op.code != "" {
		v.HttpErrorStatusCode, v.HttpErrorMessage = http.StatusBadRequest, "BAD REQUEST"
		v.Error = &compute.OperationError{Errors: []*compute.OperationErrorErrors{{Code: op.code, Message: "The operation ended with " + op.code + "."}}}
	}
	return v
}

// getOperation is get and wait: the latter may answer before the operation is done, so it does.
func (s *Server) getOperation(c call) answer {
	op := s.operations[c.path("operations")]
	if op == nil {
		return notFound(c.path("operations"))
	}
	return answer{body: op.view()}
}
