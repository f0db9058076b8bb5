// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package neutron

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var (
	//go:embed serve.py
	serve string
	//go:embed prepare.py
	prepare string
)

// Region of the services in the catalogue.
const Region = "RegionOne"

// keystoneConf keeps everything in memory and in one SQLite file. Hashing passwords costs next to nothing here.
const keystoneConf = `[DEFAULT]
use_stderr = true
[database]
connection = sqlite:////run/stack/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = /run/stack/fernet
[fernet_receipts]
key_repository = /run/stack/fernet
[credential]
key_repository = /run/stack/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_policy]
policy_file = /run/stack/policy.yaml
[catalog]
driver = templated
template_file = /run/stack/catalog
`

// neutronConf has neither a message queue nor agents. It asks Keystone about every token, holds it to the access rules of its
// application credential, and remembers the answer for a second, which saves a quarter of all work; see settle.
const neutronConf = `[DEFAULT]
core_plugin = ml2
service_plugins =
auth_strategy = keystone
transport_url = fake://
api_workers = 1
rpc_workers = 0
rpc_state_report_workers = 0
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
dhcp_agent_notification = false
api_paste_config = /usr/share/neutron-common/api-paste.ini
state_path = /run/stack
use_stderr = true
[database]
connection = sqlite:////run/stack/neutron.db
[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
[oslo_concurrency]
lock_path = /run/stack
[oslo_policy]
policy_file = /run/stack/policy.yaml
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers =
extension_drivers =
[keystone_authtoken]
www_authenticate_uri = %[1]s
auth_url = %[1]s
auth_type = password
username = admin
password = admin
project_name = admin
user_domain_id = default
project_domain_id = default
token_cache_time = 1
service_type = network
`

// configure writes what the services read into the folder that they see as /run/stack.
func configure(state, identity, network string) error {
	var catalog strings.Builder
	for service, url := range map[string]string{"identity": identity, "network": strings.TrimSuffix(network, "/")} {
		for _, kind := range []string{"publicURL", "internalURL", "adminURL"} {
			fmt.Fprintf(&catalog, "catalog.%s.%s.%s = %s\n", Region, service, kind, url)
		}
		fmt.Fprintf(&catalog, "catalog.%s.%s.name = %s\n", Region, service, service)
	}
	for name, content := range map[string]string{
		"keystone.conf": keystoneConf,
		"neutron.conf":  fmt.Sprintf(neutronConf, identity),
		"policy.yaml":   "{}\n", // the defaults in the code
		"catalog":       catalog.String(),
		"serve.py":      serve,
		"prepare.py":    prepare,
	} {
		if err := os.WriteFile(filepath.Join(state, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
