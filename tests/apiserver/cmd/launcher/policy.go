package main

import (
	"context"
	"strings"
)

type policyRequest struct {
	Namespace string `json:"namespace"`
	Message   string `json:"message"` // default: forbiddenMessage
}

const (
	forbiddenKey     = "forbidden"
	forbiddenMessage = `the key "forbidden" is not allowed here`
	admissionPath    = "/apis/admissionregistration.k8s.io/v1/"
)

// createPolicy makes a ValidatingAdmissionPolicy that refuses ConfigMaps of one namespace with the key
// "forbidden", in either of their maps.
func createPolicy(ctx context.Context, c *cluster, r policyRequest) (answer, error) {
	name := "forbidden-key-" + r.Namespace
	if r.Message == "" {
		r.Message = forbiddenMessage
	}
	policy := object{"spec": object{
		"matchConstraints": object{"resourceRules": []object{{
			"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "resources": []string{"configmaps"},
			"operations": []string{"CREATE", "UPDATE"},
		}}},
		"validations": []object{{
			"expression": `!(has(object.data) && "forbidden" in object.data) &&` +
				` !(has(object.binaryData) && "forbidden" in object.binaryData)`,
			"message": r.Message,
		}},
	}}
	if err := c.admin.put(ctx, admissionPath+"validatingadmissionpolicies", name, policy); err != nil {
		return nil, err
	}
	binding := object{"spec": object{
		"policyName":        name,
		"validationActions": []string{"Deny"},
		"matchResources": object{"namespaceSelector": object{
			"matchLabels": object{"kubernetes.io/metadata.name": r.Namespace},
		}},
	}}
	if err := c.admin.put(ctx, admissionPath+"validatingadmissionpolicybindings", name, binding); err != nil {
		return nil, err
	}
	err := eventually(ctx, "the policy has no effect", func() error {
		probe := c.admin.tryCreate(ctx, r.Namespace, object{forbiddenKey: ""})
		return mustRefuse(probe, func(refused *refusal) bool { return strings.Contains(refused.Message, r.Message) })
	})
	return answer{"name": name}, err
}
