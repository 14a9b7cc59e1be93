package apiserver_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The tests in this file share one server.

func TestReadyLine(t *testing.T) {
	r := shared.ready
	if r.Version != "v1.36.3" || r.Pid == 0 || r.Token == "" {
		t.Fatalf("%+v", r)
	}
	shared.expect(t, r.Token, "GET", "/api/v1/namespaces/default", "", 200)
	shared.expect(t, "wrong", "GET", configMaps("default"), "", 401)
}

func TestEarlyExitIsReportedAsSuch(t *testing.T) {
	began := time.Now()
	l, err := start("/bin/false")
	if err == nil || !strings.Contains(err.Error(), "exited (exit status 1)") {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Fatalf("only after %s", took)
	}
	var exit *exec.ExitError
	if err := l.end(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatal("exit status 1 expected:", err)
	}
}

func TestEarlyExitShowsTheLog(t *testing.T) {
	l, err := start(binary(), "--", "--no-such-flag")
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Fatal(err)
	}
	l.end()
}

func TestMissingBinary(t *testing.T) {
	l, err := start("/nowhere/apiserver")
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Fatal(err)
	}
	l.end()
}

func TestBadCommandsAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		`{"cmd":"dance"}`:                    `"dance"`,
		`{"cmd":"namespace","nme":"x"}`:      `"nme"`,
		`{"cmd":"namespace","name":"UPPER"}`: "UPPER",
		`hello`:                              "not a JSON object",
		`{}`:                                 `"cmd"`,
		`{"cmd":"start"}`:                    "running already",
	} {
		if _, err := shared.in.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
		answer, err := shared.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			OK    bool
			Error string
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil || got.OK || !strings.Contains(got.Error, want) {
			t.Errorf("%s: %s", line, answer)
		}
	}
}

func TestUserHasExactlyTheRightsGiven(t *testing.T) {
	shared.must(t, "namespace", fields{"name": "users"})
	rule := fields{"apiGroups": []string{""}, "resources": []string{"configmaps"}, "resourceNames": []string{"x"}, "verbs": []string{"get", "patch"}}
	user := fields{"name": "u1", "namespace": "users", "rules": []fields{rule}}
	made := shared.must(t, "user", user)
	if made["username"] != "system:serviceaccount:users:u1" {
		t.Fatal(made)
	}
	token := made["token"].(string)
	maps, x, y := configMaps("users"), configMaps("users")+"/x", configMaps("users")+"/y"
	shared.expect(t, token, "GET", x, "", 404)
	shared.expect(t, token, "PATCH", x, `{}`, 404)
	shared.expect(t, token, "GET", y, "", 403, `cannot get resource \"configmaps\"`)
	shared.expect(t, token, "DELETE", x, "", 403, `cannot delete`)
	shared.expect(t, token, "POST", maps, named("x", ""), 403, `cannot create`)
	shared.expect(t, token, "GET", configMaps("default")+"/x", "", 403)

	delete(user, "rules")
	shared.must(t, "user", user)
	shared.expect(t, token, "GET", x, "", 403) // at once: the command waits for it

	user["audience"] = "somebody.else"
	made = shared.must(t, "user", user)
	shared.expect(t, made["token"].(string), "GET", x, "", 401)
}

func TestQuota(t *testing.T) {
	admin, maps := shared.ready.Token, configMaps("quota")
	shared.must(t, "namespace", fields{"name": "quota"})
	shared.expect(t, admin, "POST", maps, named("before", ""), 201)
	shared.must(t, "quota", fields{"namespace": "quota", "configmaps": 2})
	shared.expect(t, admin, "POST", maps, named("fits", ""), 201)
	shared.expect(t, admin, "POST", maps, named("surplus", ""), 403, "exceeded quota")
	shared.expect(t, admin, "DELETE", maps+"/fits", "", 200)
	shared.must(t, "quota", fields{"namespace": "quota", "configmaps": 1})
	shared.expect(t, admin, "POST", maps, named("surplus", ""), 403, "exceeded quota")
	shared.must(t, "quota", fields{"namespace": "quota", "configmaps": 5})
	shared.expect(t, admin, "POST", maps, named("surplus", ""), 201)
}

func TestTerminatingNamespace(t *testing.T) {
	admin, maps := shared.ready.Token, configMaps("doomed")
	shared.must(t, "namespace", fields{"name": "doomed"})
	shared.expect(t, admin, "POST", maps, named("old", ""), 201)
	shared.must(t, "terminate_namespace", fields{"name": "doomed"})
	shared.expect(t, admin, "POST", maps, named("new", ""), 403, `"reason":"NamespaceTerminating"`)
	shared.expect(t, admin, "PATCH", maps+"/old", `{"data":{"a":"1"}}`, 200) // only creation is refused
	shared.expect(t, admin, "GET", "/api/v1/namespaces/doomed", "", 200, `"phase":"Terminating"`)
}

func TestAdmissionPolicy(t *testing.T) {
	admin, maps := shared.ready.Token, configMaps("strict")
	shared.must(t, "namespace", fields{"name": "strict"})
	shared.must(t, "admission_policy", fields{"namespace": "strict", "message": "not here"})
	shared.expect(t, admin, "POST", maps, named("x", `,"data":{"forbidden":"1"}`), 422, "not here")
	shared.expect(t, admin, "POST", maps, named("x", `,"binaryData":{"forbidden":"MQ=="}`), 422, "not here")
	shared.expect(t, admin, "POST", maps, named("x", `,"data":{"allowed":"1"}`), 201)
	shared.expect(t, admin, "PATCH", maps+"/x", `{"data":{"forbidden":"1"}}`, 422, "not here")
	shared.expect(t, admin, "POST", configMaps("default"), named("elsewhere", `,"data":{"forbidden":"1"}`), 201)
}

func TestCompactionForgets(t *testing.T) {
	at := func(revision string) string {
		return configMaps("default") + "?fieldSelector=metadata.name%3Dx&resourceVersionMatch=Exact&resourceVersion=" + revision
	}
	shared.expect(t, shared.ready.Token, "GET", at("1"), "", 200)
	shared.must(t, "compact", nil)
	shared.expect(t, shared.ready.Token, "GET", at("1"), "", 410)
}

func TestKubectl(t *testing.T) {
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(sibling("kubectl"), append([]string{"--kubeconfig", shared.ready.Kubeconfig}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	kubectl("create", "configmap", "by-kubectl", "--from-literal=colour=blue")
	if got := kubectl("get", "configmap", "by-kubectl", "-o", "jsonpath={.data.colour}"); got != "blue" {
		t.Fatalf("%q", got)
	}
	if got := kubectl("version"); strings.Count(got, "v1.36.3") != 2 {
		t.Fatalf("client and server should be v1.36.3: %s", got)
	}
}

func TestMemoryAndSize(t *testing.T) {
	if rss := shared.must(t, "memory", nil)["rss"].(float64); rss < 50<<20 || rss > 4<<30 {
		t.Fatal(rss)
	}
	if size := shared.must(t, "db_size", nil)["bytes"].(float64); size == 0 {
		t.Fatal(size)
	}
}
