package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

type userRequest struct {
	Name      string   `json:"name"`
	Namespace string   `json:"namespace"`
	Rules     []object `json:"rules"` // as in a Role
	// For the token: whom it is meant for (default: this server) and how long it is valid (the server's
	// minimum is 600).
	Audience       string `json:"audience"`
	ExpiresSeconds int    `json:"expires_seconds"`
}

const defaultExpirySeconds = 3600

// createUser makes a ServiceAccount with a Role and a token, or gives an existing one other rules and a new
// token. When it returns, exactly these rules are in force.
func createUser(ctx context.Context, c *cluster, r userRequest) (answer, error) {
	username := fmt.Sprintf("system:serviceaccount:%s:%s", r.Namespace, r.Name)
	account := "/api/v1/namespaces/" + r.Namespace + "/serviceaccounts"
	if err := c.admin.put(ctx, account, r.Name, object{}); err != nil {
		return nil, err
	}
	token, err := c.requestToken(ctx, account+"/"+r.Name, r)
	if err != nil {
		return nil, err
	}
	if err := c.grant(ctx, r, username); err != nil {
		return nil, err
	}
	kubeconfig, err := c.home.writeKubeconfig(
		fmt.Sprintf("kubeconfig-%s-%s", r.Namespace, r.Name), c.url(), r.Namespace, token)
	if err != nil {
		return nil, err
	}
	return answer{"token": token, "kubeconfig": kubeconfig, "username": username}, nil
}

func (c *cluster) requestToken(ctx context.Context, account string, r userRequest) (string, error) {
	spec := object{"expirationSeconds": defaultExpirySeconds}
	if r.ExpiresSeconds != 0 {
		spec["expirationSeconds"] = r.ExpiresSeconds
	}
	if r.Audience != "" {
		spec["audiences"] = []string{r.Audience}
	}
	request := object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
	var made struct{ Status struct{ Token string } }
	err := c.admin.post(ctx, account+"/token", request, &made)
	return made.Status.Token, err
}

// grant writes the Role and the RoleBinding and waits until the authorizer has this very version of them: the
// Role gets one rule more, about a resource that nobody has, and its name is new each time.
func (c *cluster) grant(ctx context.Context, r userRequest, username string) error {
	const group = "launcher.invalid"
	marker := strings.ToLower(rand.Text())
	rules := append([]object{{
		"apiGroups": []string{group}, "resources": []string{marker}, "verbs": []string{"get"},
	}}, r.Rules...)

	rbac := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + r.Namespace
	if err := c.admin.put(ctx, rbac+"/roles", r.Name, object{"rules": rules}); err != nil {
		return err
	}
	err := c.admin.put(ctx, rbac+"/rolebindings", r.Name, object{
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": r.Name},
		"subjects": []object{{"kind": "ServiceAccount", "name": r.Name, "namespace": r.Namespace}},
	})
	if err != nil {
		return err
	}

	review := object{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": object{"user": username, "resourceAttributes": object{
			"namespace": r.Namespace, "group": group, "resource": marker, "verb": "get",
		}},
	}
	return eventually(ctx, "the rules are not in force", func() error {
		var reviewed struct{ Status struct{ Allowed bool } }
		err := c.admin.post(ctx, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &reviewed)
		if err == nil && !reviewed.Status.Allowed {
			err = errors.New("the authorizer does not know the Role yet")
		}
		return err
	})
}
