package main

import (
	"context"
	"slices"
)

type namespaceRequest struct {
	Name string `json:"name"`
}

func createNamespace(ctx context.Context, c *cluster, r namespaceRequest) (answer, error) {
	return nil, c.admin.post(ctx, "/api/v1/namespaces", object{"metadata": object{"name": r.Name}}, nil)
}

// terminateNamespace deletes it. Nothing removes the finalizer "kubernetes" here (that is a job of the
// controller-manager), so it stays in phase Terminating, and so does all that is in it.
func terminateNamespace(ctx context.Context, c *cluster, r namespaceRequest) (answer, error) {
	if err := c.admin.delete(ctx, "/api/v1/namespaces/"+r.Name); err != nil {
		return nil, err
	}
	return nil, eventually(ctx, "the namespace does not refuse new ConfigMaps", func() error {
		return mustRefuse(c.admin.tryCreate(ctx, r.Name, nil), (*refusal).isTerminating)
	})
}

func (r *refusal) isTerminating() bool {
	return slices.ContainsFunc(r.Details.Causes, func(c cause) bool { return c.Reason == "NamespaceTerminating" })
}
