package main

import (
	"context"
	"strconv"
	"strings"
)

type quotaRequest struct {
	Namespace  string `json:"namespace"`
	ConfigMaps int    `json:"configmaps"` // how many the namespace may have
}

const quotaName = "configmaps"

// setQuota limits the number of ConfigMaps in a namespace. Admission enforces it and counts new ones, but
// nobody counts deleted ones (that is a job of the controller-manager): the command given again does.
func setQuota(ctx context.Context, c *cluster, r quotaRequest) (answer, error) {
	configMaps := "/api/v1/namespaces/" + r.Namespace + "/configmaps"
	var list struct{ Items []struct{} }
	if err := c.admin.get(ctx, configMaps, &list); err != nil {
		return nil, err
	}
	used := len(list.Items)

	// A quota with room left is not seen from outside. So fill it first, and see that it is enforced.
	if err := c.writeQuota(ctx, r.Namespace, used, used); err != nil {
		return nil, err
	}
	if err := c.awaitQuota(ctx, r.Namespace, true); err != nil {
		return nil, err
	}
	if err := c.writeQuota(ctx, r.Namespace, r.ConfigMaps, used); err != nil {
		return nil, err
	}
	return answer{"used": used}, c.awaitQuota(ctx, r.Namespace, used >= r.ConfigMaps)
}

// writeQuota writes the status too: admission looks at nothing else, and nobody else here writes it.
func (c *cluster) writeQuota(ctx context.Context, namespace string, hard, used int) error {
	quotas := "/api/v1/namespaces/" + namespace + "/resourcequotas"
	limit := object{"configmaps": strconv.Itoa(hard)}
	if err := c.admin.put(ctx, quotas, quotaName, object{"spec": object{"hard": limit}}); err != nil {
		return err
	}
	status := object{"hard": limit, "used": object{"configmaps": strconv.Itoa(used)}}
	return c.admin.mergePatch(ctx, quotas+"/"+quotaName+"/status", object{"status": status})
}

// awaitQuota waits until admission refuses one more ConfigMap, or doesn't any longer.
func (c *cluster) awaitQuota(ctx context.Context, namespace string, full bool) error {
	return eventually(ctx, "the quota has no effect", func() error {
		err := c.admin.tryCreate(ctx, namespace, nil)
		if full {
			return mustRefuse(err, func(r *refusal) bool { return strings.Contains(r.Message, "exceeded quota") })
		}
		return err
	})
}
