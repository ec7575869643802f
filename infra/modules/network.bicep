// The app's way out (one fixed address, through a NAT gateway) and its way to the services (private endpoints).
param name string
param location string
param tags object

var zones = [
  'privatelink.servicebus.windows.net'
  'privatelink.documents.azure.com'
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.vaultcore.azure.net'
  'privatelink.cognitiveservices.azure.com'
  'privatelink.openai.azure.com'
  'privatelink.monitor.azure.com'
  'privatelink.ods.opinsights.azure.com'
  'privatelink.oms.opinsights.azure.com'
  'privatelink.agentsvc.azure-automation.net'
]

resource outbound 'Microsoft.Network/publicIPAddresses@2024-01-01' = {
  name: 'pip-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource gateway 'Microsoft.Network/natGateways@2024-01-01' = {
  name: 'nat-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIpAddresses: [{ id: outbound.id }], idleTimeoutInMinutes: 10 }
}

resource rules 'Microsoft.Network/networkSecurityGroups@2024-01-01' = {
  name: 'nsg-${name}'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'nothing-from-the-internet'
        properties: {
          direction: 'Inbound'
          access: 'Deny'
          priority: 1000
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-01-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.90.0.0/16'] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: '10.90.0.0/24'
          natGateway: { id: gateway.id }
          networkSecurityGroup: { id: rules.id }
          delegations: [{ name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.90.1.0/24'
          networkSecurityGroup: { id: rules.id }
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
    ]
  }
}

resource dns 'Microsoft.Network/privateDnsZones@2020-06-01' = [for zone in zones: {
  name: zone
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [for (zone, index) in zones: {
  parent: dns[index]
  name: 'link'
  location: 'global'
  tags: tags
  properties: { virtualNetwork: { id: network.id }, registrationEnabled: false }
}]

output appSubnetId string = network.properties.subnets[0].id
output endpointSubnetId string = network.properties.subnets[1].id
output outboundAddress string = outbound.properties.ipAddress
output dnsZoneIds object = {
  servicebus: resourceId('Microsoft.Network/privateDnsZones', zones[0])
  cosmos: resourceId('Microsoft.Network/privateDnsZones', zones[1])
  blob: resourceId('Microsoft.Network/privateDnsZones', zones[2])
  vault: resourceId('Microsoft.Network/privateDnsZones', zones[3])
  cognitive: resourceId('Microsoft.Network/privateDnsZones', zones[4])
  openai: resourceId('Microsoft.Network/privateDnsZones', zones[5])
  monitor: resourceId('Microsoft.Network/privateDnsZones', zones[6])
  logs: resourceId('Microsoft.Network/privateDnsZones', zones[7])
  queries: resourceId('Microsoft.Network/privateDnsZones', zones[8])
  agents: resourceId('Microsoft.Network/privateDnsZones', zones[9])
}
