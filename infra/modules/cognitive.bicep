// An Azure AI account, for models (Azure OpenAI) or for Content Safety: in this region, by identity only.
param name string
param kind string
param roleId string
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

resource account 'Microsoft.CognitiveServices/accounts@2024-10-01' = {
  // checkov:skip=CKV_AZURE_134:Disabled is the parameter's default; the size "dev" alone sets it otherwise.
  name: name
  location: location
  tags: tags
  kind: kind
  sku: { name: 'S0' }
  identity: { type: 'SystemAssigned' }
  properties: {
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: publicAccess
    networkAcls: { defaultAction: othersMay }
  }
}

resource uses 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, roleId)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'audit', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

module endpoint 'endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-${kind}'
  params: {
    name: account.name
    location: location
    targetId: account.id
    groupId: 'account'
    subnetId: endpointSubnetId
    dnsZoneIds: isPrivate ? [dnsZoneIds.cognitive, dnsZoneIds.openai] : []
    tags: tags
  }
}

output endpoint string = account.properties.endpoint
