// Service Bus with every queue of resources.json. Premium: the only tier with private endpoints, and with messages that
// are large enough for a row that Log Analytics does not take.
param name string
param location string
param principalId string
param queues array
param workspaceId string
param identityId string
param customerManagedKeyUri string
param isPrivate bool
@allowed(['Disabled', 'Enabled'])
param publicAccess string = 'Disabled'
param endpointSubnetId string
param dnsZoneIds object
param tags object

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: 'sb-${name}'
  location: location
  tags: tags
  sku: { name: 'Premium', tier: 'Premium', capacity: 1 }
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: publicAccess
    zoneRedundant: isPrivate
    encryption: empty(customerManagedKeyUri) ? null : {
      keySource: 'Microsoft.KeyVault'
      requireInfrastructureEncryption: true
      keyVaultProperties: [
        {
          keyVaultUri: '${split(customerManagedKeyUri, '/keys/')[0]}/'
          keyName: split(customerManagedKeyUri, '/keys/')[1]
          identity: { userAssignedIdentity: identityId }
        }
      ]
    }
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = [for each in queues: {
  parent: namespace
  name: each.name
  properties: {
    lockDuration: 'PT1M'
    maxDeliveryCount: 10
    requiresSession: each.sessions
    requiresDuplicateDetection: each.duplicate_detection
    duplicateDetectionHistoryTimeWindow: 'PT10M'
    defaultMessageTimeToLive: each.ttl_seconds == null ? 'P10675198D' : 'PT${each.ttl_seconds}S'
    deadLetteringOnMessageExpiration: false
    maxMessageSizeInKilobytes: 1024
  }
}]

var roles = {
  sender: '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39' // Azure Service Bus Data Sender
  receiver: '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0' // Azure Service Bus Data Receiver
}

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in items(roles): {
  name: guid(namespace.id, principalId, role.value)
  scope: namespace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
  }
}]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

module endpoint 'endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-servicebus'
  params: {
    name: namespace.name
    location: location
    targetId: namespace.id
    groupId: 'namespace'
    subnetId: endpointSubnetId
    dnsZoneIds: isPrivate ? [dnsZoneIds.servicebus] : []
    tags: tags
  }
}

output namespace string = '${namespace.name}.servicebus.windows.net'
