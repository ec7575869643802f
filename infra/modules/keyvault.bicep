// Key Vault: the redaction key, the webhook's secret, the keys of model providers. The app reads secrets, and no more.
param name string
param location string
param principalId string
param workspaceId string
param isPrivate bool
@allowed(['Disabled', 'Enabled'])
param publicAccess string = 'Disabled'
@allowed(['Deny', 'Allow'])
param othersMay string = 'Deny'
param endpointSubnetId string
param dnsZoneIds object
param tags object

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: publicAccess
    networkAcls: { defaultAction: othersMay, bypass: 'AzureServices' }
  }
}

var reader = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6') // Key Vault Secrets User

resource readsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, reader)
  scope: vault
  properties: { principalId: principalId, principalType: 'ServicePrincipal', roleDefinitionId: reader }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

module endpoint 'endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-vault'
  params: {
    name: vault.name
    location: location
    targetId: vault.id
    groupId: 'vault'
    subnetId: endpointSubnetId
    dnsZoneIds: isPrivate ? [dnsZoneIds.vault] : []
    tags: tags
  }
}

output uri string = vault.properties.vaultUri
